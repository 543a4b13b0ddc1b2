/*
 * MQTT-SN 1.2 for the microcontroller's end.
 *
 * Nothing here blocks, allocates or keeps the time by itself: the program calls mqttsn_poll() from its loop and hands
 * in three functions (send a message, receive a message, the milliseconds). All memory belongs to the caller. What is
 * given by pointer (client identifier, topics, will, the data of a QoS 1 or 2 message) is not copied: it must stay as
 * it is for as long as the comment beside it says.
 *
 * Section numbers are those of "MQTT-SN Protocol Specification Version 1.2" of 14 November 2013.
 */
#ifndef MQTTSN_H
#define MQTTSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The longest topic name, in octets, that is remembered when the gateway announces it (for matches of a wildcard). */
#ifndef MQTTSN_NAME_MAX
#define MQTTSN_NAME_MAX 31
#endif

/*
 * How many received QoS 2 messages are remembered until the gateway releases them. The specification allows a gateway
 * one at a time (6.12); with more than this many at once the oldest is forgotten.
 */
#ifndef MQTTSN_QOS2_MAX
#define MQTTSN_QOS2_MAX 4
#endif

/* The longest client identifier, in octets (5.3.1). */
#define MQTTSN_CLIENT_ID_MAX 23

/* The head of a message, in octets: what mqttsn_transport.send gets as its first part is never longer. */
#define MQTTSN_HEAD_MAX 9

/* Return codes of the gateway (5.3.10). */
#define MQTTSN_ACCEPTED 0
#define MQTTSN_CONGESTION 1
#define MQTTSN_INVALID_TOPIC_ID 2
#define MQTTSN_NOT_SUPPORTED 3

/* TopicIdType (5.3.4). */
#define MQTTSN_NORMAL 0
#define MQTTSN_PREDEFINED 1
#define MQTTSN_SHORT 2

/* What a call answers at once; how it went on is told by events. */
typedef enum {
  MQTTSN_OK,
  MQTTSN_BUSY,          /* something is in flight that must end first: call again after its event */
  MQTTSN_WRONG_STATE,   /* not connected, asleep, or already so */
  MQTTSN_WRONG_ARGUMENT /* a wildcard in a name to publish to, a QoS or type that does not go together, too long */
} mqttsn_result;

typedef enum {
  MQTTSN_STATE_DISCONNECTED, /* nothing is sent but QoS -1 */
  MQTTSN_STATE_WAITING,      /* the connection was lost or refused; CONNECT goes out when the wait is over */
  MQTTSN_STATE_CONNECTING,
  MQTTSN_STATE_ACTIVE,
  MQTTSN_STATE_DOZING, /* DISCONNECT with a duration was sent, not yet answered */
  MQTTSN_STATE_ASLEEP, /* the radio may be off; nothing is sent until mqttsn_wake or mqttsn_connect */
  MQTTSN_STATE_AWAKE,  /* PINGREQ with the client identifier was sent: what was buffered comes, until PINGRESP */
  MQTTSN_STATE_LEAVING /* DISCONNECT was sent, not yet answered */
} mqttsn_state;

/*
 * A topic that the program knows: declare it once (static), with one of the macros below. It is linked into the client
 * when it is first used and must live as long as the client. `name` may hold wildcards if it is only subscribed to.
 */
typedef struct mqttsn_topic {
  const char *name;
  uint16_t id;       /* predefined: given; short: its characters; normal: assigned by the gateway, 0 while unknown */
  uint8_t type;      /* MQTTSN_NORMAL, MQTTSN_PREDEFINED or MQTTSN_SHORT */
  uint8_t qos;       /* of the subscription: asked for, then granted */
  uint8_t wishes;    /* the client's own */
  struct mqttsn_topic *next; /* the client's own */
} mqttsn_topic;

#define MQTTSN_TOPIC(name) {(name), 0, MQTTSN_NORMAL, 0, 0, NULL}
#define MQTTSN_PREDEFINED_TOPIC(id) {NULL, (id), MQTTSN_PREDEFINED, 0, 0, NULL}
#define MQTTSN_SHORT_TOPIC(a, b) \
  {NULL, (uint16_t)(((uint16_t)(uint8_t)(a) << 8) | (uint8_t)(b)), MQTTSN_SHORT, 0, 0, NULL}

/* A place for a topic that the gateway announced by REGISTER and that none of the program's topics is named after. */
typedef struct {
  uint16_t id;
  char name[MQTTSN_NAME_MAX + 1];
} mqttsn_told;

typedef struct {
  const char *topic;
  const uint8_t *message;
  uint8_t message_length;
  uint8_t qos; /* 0 to 2 */
  bool retain;
} mqttsn_will;

typedef enum {
  MQTTSN_CONNECTED,    /* active; after a loss too, when topics are being registered and subscribed to again */
  MQTTSN_REFUSED,      /* CONNACK with `code`; tried again after wait_ms */
  MQTTSN_UNANSWERED,   /* CONNECT was sent 1 + retries times for nothing; goes on trying */
  MQTTSN_LOST,         /* the gateway said DISCONNECT (code 0) or is silent (code 1); reconnects by itself */
  MQTTSN_DISCONNECTED, /* as asked by mqttsn_disconnect */
  MQTTSN_ASLEEP,       /* after mqttsn_sleep, and after mqttsn_wake when all that was buffered has come */
  MQTTSN_REGISTERED,   /* `topic` has an id */
  MQTTSN_SUBSCRIBED,   /* `topic` with the granted `qos` */
  MQTTSN_UNSUBSCRIBED,
  MQTTSN_PUBLISHED, /* the message of QoS 1 or 2 has arrived; its data may be used again */
  MQTTSN_FAILED,    /* the gateway rejected the registration, subscription or message of `topic` with `code` */
  MQTTSN_MESSAGE    /* a message came; a QoS 1 message may come twice (then with dup), a QoS 2 message comes once */
} mqttsn_event_type;

/* Everything here is valid during the call of on_event only. */
typedef struct {
  mqttsn_event_type type;
  uint8_t code;
  uint8_t qos; /* MESSAGE: 0 to 2, or 3 which stands for QoS -1 */
  bool retain;
  bool dup;
  bool about_message;  /* FAILED: it was the message, whose data may be used again; else the subscription or topic */
  mqttsn_topic *topic; /* NULL: none of the program's topics */
  const char *name;    /* of a normal topic; ends with a zero. NULL for predefined and short ones */
  uint8_t topic_type;
  uint16_t topic_id;
  const uint8_t *data;
  size_t length;
} mqttsn_event;

/* How messages leave and come: directly (UDP), or over a serial line by mqttsn-line.h. */
typedef struct {
  void *context;
  /*
   * Sends one message, given in two parts that follow one another; `body` may be NULL when its length is 0. What
   * cannot be sent now may be dropped: it is sent again.
   */
  void (*send)(void *context, const uint8_t *head, size_t head_length, const uint8_t *body, size_t body_length);
  /*
   * Sets `message` to the next whole message and returns its length, or 0 when none is there. Never waits. The octets
   * must stay until the next call.
   */
  size_t (*receive)(void *context, const uint8_t **message);
  /* Milliseconds of any clock that does not jump; may wrap around after 2^32. */
  uint32_t (*now_ms)(void *context);
} mqttsn_transport;

/* Must live as long as the client. Zero means the default where one is given. */
typedef struct {
  mqttsn_transport transport;
  const char *client_id;       /* 1 to 23 octets */
  uint16_t keep_alive_seconds; /* 1 to 65,535; default 60 */
  bool clean_session;          /* of the first CONNECT; reconnecting never cleans */
  const mqttsn_will *will;     /* or NULL */
  uint32_t retry_ms;           /* T_retry; default 10,000 */
  uint8_t retries;             /* N_retry; default 3 */
  uint32_t wait_ms;            /* T_WAIT, after "congestion" and a refused CONNECT; default 300,000 */
  uint32_t reconnect_ms;       /* before CONNECT after a loss; doubled with each in a row, up to 64-fold; 1000 */
  uint16_t first_message_id;   /* where message identifiers begin; random if a session outlives a reset. Default 1 */
  mqttsn_told *told;           /* places for announced topics (needed with wildcards), or NULL */
  uint8_t told_count;
  /* May call any function of this header but mqttsn_init and mqttsn_poll. */
  void (*on_event)(void *context, const mqttsn_event *event);
  void *event_context;
} mqttsn_config;

/* A thing that is sent again until it is answered. */
typedef struct {
  uint32_t due_ms;
  uint8_t tries;
} mqttsn_retry;

/* All its members are the client's own. */
typedef struct {
  const mqttsn_config *config;
  mqttsn_topic *topics;
  uint32_t sent_ms;
  uint32_t received_ms;
  uint32_t connected_ms;
  mqttsn_retry link;    /* CONNECT, PINGREQ, DISCONNECT */
  mqttsn_retry request; /* REGISTER, SUBSCRIBE, UNSUBSCRIBE */
  mqttsn_retry publish; /* PUBLISH, PUBREL */
  mqttsn_topic *request_topic;
  mqttsn_topic *publish_topic;
  const uint8_t *publish_data;
  size_t publish_length;
  uint16_t next_id;
  uint16_t request_id;
  uint16_t publish_id;
  uint16_t sleep_seconds;
  uint16_t received_ids[MQTTSN_QOS2_MAX];
  uint8_t state;
  uint8_t request_type;
  uint8_t publish_step;
  uint8_t publish_flags;
  uint8_t publish_renewals;
  uint8_t losses;
  uint8_t next_told;
  bool has_session;
  bool keeps_subscriptions;
  bool pinging;
} mqttsn_client;

/* Prepares a client; nothing is sent. Answers MQTTSN_WRONG_ARGUMENT when the client identifier is empty or too long. */
mqttsn_result mqttsn_init(mqttsn_client *client, const mqttsn_config *config);

/*
 * Handles what has come and sends what is due. Call it whenever something may have come, and at the latest after as
 * many milliseconds as it returns (UINT32_MAX: there is no timer).
 */
uint32_t mqttsn_poll(mqttsn_client *client);

/* Connects, or makes a sleeping client active. From then on the connection is kept up until disconnect or sleep. */
mqttsn_result mqttsn_connect(mqttsn_client *client);

/* Says goodbye (no will), ends in MQTTSN_DISCONNECTED. A message in flight is kept for the next connect. */
mqttsn_result mqttsn_disconnect(mqttsn_client *client);

/*
 * Goes to sleep: from MQTTSN_ASLEEP on the gateway keeps messages. Wake within `seconds` (1 to 65,535), or the gateway
 * takes the client for lost. MQTTSN_BUSY while something is in flight.
 */
mqttsn_result mqttsn_sleep(mqttsn_client *client, uint16_t seconds);

/* Fetches what was kept; MQTTSN_ASLEEP comes when that was all. */
mqttsn_result mqttsn_wake(mqttsn_client *client);

/* Gets an id for a normal topic ahead of its first message. Not needed: publishing does it. */
mqttsn_result mqttsn_register(mqttsn_client *client, mqttsn_topic *topic);

/* Subscribes now, or when connected; after a lost connection again, for a gateway that has forgotten. */
mqttsn_result mqttsn_subscribe(mqttsn_client *client, mqttsn_topic *topic, uint8_t qos);
mqttsn_result mqttsn_unsubscribe(mqttsn_client *client, mqttsn_topic *topic);

/*
 * Publishes. QoS -1: at once and in every state, to predefined and short topics only, heard by nobody if it gets lost.
 * QoS 0: when connected. QoS 1 and 2: also while the connection is being made; one at a time (MQTTSN_BUSY), `data` must
 * stay as it is until MQTTSN_PUBLISHED or MQTTSN_FAILED. A QoS 0 message on a topic without id waits for it in the same
 * way, and MQTTSN_PUBLISHED then tells that it was sent.
 */
mqttsn_result mqttsn_publish(mqttsn_client *client, mqttsn_topic *topic, const uint8_t *data, size_t length, int8_t qos,
                             bool retain);

mqttsn_state mqttsn_state_of(const mqttsn_client *client);

/* Nothing is in flight and nothing waits to be sent. */
bool mqttsn_is_idle(const mqttsn_client *client);

#ifdef __cplusplus
}
#endif

#endif
