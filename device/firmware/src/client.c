#include "packet.h"

#define RETRY_MS 10000u
#define RETRIES 3u
#define WAIT_MS 300000u
#define RECONNECT_MS 1000u
#define RECONNECT_DOUBLINGS 6u
#define KEEP_ALIVE_SECONDS 60u

/* So that a flood cannot hold the program up: the rest is for the next poll. */
#define MESSAGES_PER_POLL 16u

/* How often the id of a topic is asked for anew for one message, should the gateway deny its own ids. */
#define RENEWALS_MAX 3u

/* mqttsn_topic.wishes */
#define WANTS_ID 0x01
#define WANTS_SUBSCRIBE 0x02
#define WANTS_UNSUBSCRIBE 0x04
#define SUBSCRIBED 0x08
#define TO_DO (WANTS_ID | WANTS_SUBSCRIBE | WANTS_UNSUBSCRIBE)

/* mqttsn_client.publish_step */
enum { NOTHING, READY, AWAITS_PUBACK, AWAITS_PUBREC, AWAITS_PUBCOMP };

/* ---- small things ---- */

static uint32_t now_of(const mqttsn_client *client) {
  const mqttsn_transport *transport = &client->config->transport;
  return transport->now_ms(transport->context);
}

/* Right across a clock that wraps around, for times less than 24 days apart. */
static bool has_come(uint32_t due_ms, uint32_t now_ms) { return (now_ms - due_ms) < 0x80000000u; }

static void restart(const mqttsn_client *client, mqttsn_retry *retry) {
  retry->tries = 0;
  retry->due_ms = now_of(client);
}

static uint32_t or_default(uint32_t value, uint32_t otherwise) { return value != 0 ? value : otherwise; }

static uint32_t retry_ms(const mqttsn_client *client) { return or_default(client->config->retry_ms, RETRY_MS); }

static size_t length_of(const char *text) {
  size_t length = 0;
  while (text[length] != 0) length++;
  return length;
}

static bool is_same(const char *text, const uint8_t *octets, size_t length) {
  size_t at;
  for (at = 0; at < length; at++) {
    if (text[at] == 0 || (uint8_t)text[at] != octets[at]) return false;
  }
  return text[length] == 0;
}

static uint16_t new_id(mqttsn_client *client) {
  uint16_t id = client->next_id++;
  if (client->next_id == 0) client->next_id = 1;
  return id;
}

static void tell(mqttsn_client *client, const mqttsn_event *event) {
  const mqttsn_config *config = client->config;
  if (config->on_event != NULL) config->on_event(config->event_context, event);
}

static void tell_of(mqttsn_client *client, mqttsn_event_type type, mqttsn_topic *topic, uint8_t code) {
  mqttsn_event event = {0};
  event.type = type;
  event.code = code;
  if (topic != NULL) {
    event.topic = topic;
    event.name = topic->name;
    event.topic_type = topic->type;
    event.topic_id = topic->id;
    event.qos = topic->qos;
  }
  tell(client, &event);
}

/* ---- sending ---- */

static void send_packet(mqttsn_client *client, const mqttsn_packet *packet) {
  const mqttsn_transport *transport = &client->config->transport;
  uint8_t head[MQTTSN_HEAD_MAX];
  size_t length = mqttsn_packet_head(packet, head);
  if (length == 0) return;
  transport->send(transport->context, head, length, packet->data, packet->length);
  client->sent_ms = now_of(client);
}

/* An answer, or anything else without data. */
static void send_short(mqttsn_client *client, uint8_t type, uint16_t topic_id, uint16_t message_id, uint8_t code) {
  mqttsn_packet packet = {0};
  packet.type = type;
  packet.topic_id = topic_id;
  packet.message_id = message_id;
  packet.code = code;
  send_packet(client, &packet);
}

static void send_data(mqttsn_client *client, uint8_t type, uint8_t flags, const void *data, size_t length) {
  mqttsn_packet packet = {0};
  packet.type = type;
  packet.flags = flags;
  packet.data = data;
  packet.length = length;
  send_packet(client, &packet);
}

static void send_connect(mqttsn_client *client) {
  const mqttsn_config *config = client->config;
  mqttsn_packet packet = {0};
  packet.type = SN_CONNECT;
  if (config->will != NULL) packet.flags |= SN_WILL;
  if (config->clean_session && !client->has_session) packet.flags |= SN_CLEAN;
  packet.topic_id = (uint16_t)or_default(config->keep_alive_seconds, KEEP_ALIVE_SECONDS);
  packet.data = (const uint8_t *)config->client_id;
  packet.length = length_of(config->client_id);
  send_packet(client, &packet);
}

static void send_will_topic(mqttsn_client *client) {
  const mqttsn_will *will = client->config->will;
  uint8_t flags;
  if (will == NULL) return;
  flags = (uint8_t)((will->qos << SN_QOS_SHIFT) | (will->retain ? SN_RETAIN : 0));
  send_data(client, SN_WILLTOPIC, flags, will->topic, length_of(will->topic));
}

static void send_disconnect(mqttsn_client *client, uint16_t seconds) {
  uint8_t duration[2];
  duration[0] = (uint8_t)(seconds >> 8);
  duration[1] = (uint8_t)seconds;
  send_data(client, SN_DISCONNECT, 0, duration, seconds != 0 ? 2 : 0);
}

static void send_publish(mqttsn_client *client, const mqttsn_topic *topic, uint8_t flags, uint16_t message_id,
                         const uint8_t *data, size_t length) {
  mqttsn_packet packet;
  packet.type = SN_PUBLISH;
  packet.flags = (uint8_t)(flags | topic->type);
  packet.code = 0;
  packet.topic_id = topic->id;
  packet.message_id = message_id;
  packet.data = data;
  packet.length = length;
  send_packet(client, &packet);
}

/* REGISTER, SUBSCRIBE or UNSUBSCRIBE. */
static void send_request(mqttsn_client *client) {
  const mqttsn_topic *topic = client->request_topic;
  mqttsn_packet packet = {0};
  uint8_t id[2];
  packet.type = client->request_type;
  packet.message_id = client->request_id;
  if (packet.type != SN_REGISTER) packet.flags = topic->type;
  if (packet.type == SN_SUBSCRIBE) {
    packet.flags |= (uint8_t)(topic->qos << SN_QOS_SHIFT);
    if (client->request.tries > 1) packet.flags |= SN_DUP;
  }
  if (topic->type == MQTTSN_NORMAL) {
    packet.data = (const uint8_t *)topic->name;
    packet.length = length_of(topic->name);
  } else {
    id[0] = (uint8_t)(topic->id >> 8);
    id[1] = (uint8_t)topic->id;
    packet.data = id;
    packet.length = 2;
  }
  send_packet(client, &packet);
}

/* ---- topics ---- */

static bool has_id(const mqttsn_topic *topic) { return topic->type != MQTTSN_NORMAL || topic->id != 0; }

static bool has_wildcard(const mqttsn_topic *topic) {
  const char *at;
  if (topic->type != MQTTSN_NORMAL) return false;
  for (at = topic->name; *at != 0; at++) {
    if (*at == '#' || *at == '+') return true;
  }
  return false;
}

static bool is_valid(const mqttsn_topic *topic) {
  if (topic->type == MQTTSN_NORMAL) return topic->name != NULL && topic->name[0] != 0;
  return topic->type <= MQTTSN_SHORT;
}

static void list(mqttsn_client *client, mqttsn_topic *topic) {
  mqttsn_topic **end = &client->topics;
  while (*end != NULL) {
    if (*end == topic) return;
    end = &(*end)->next;
  }
  topic->next = NULL;
  *end = topic;
}

static bool is_assignable(uint16_t id) { return id != 0 && id != 0xffff; }

/* Forgets what `id` stood for, or with 0 what every id stood for. */
static void forget_ids(mqttsn_client *client, uint16_t id) {
  mqttsn_topic *topic;
  uint8_t at;
  for (topic = client->topics; topic != NULL; topic = topic->next) {
    if (topic->type == MQTTSN_NORMAL && (id == 0 || topic->id == id)) topic->id = 0;
  }
  for (at = 0; at < client->config->told_count; at++) {
    if (id == 0 || client->config->told[at].id == id) client->config->told[at].id = 0;
  }
}

static void assign(mqttsn_client *client, mqttsn_topic *topic, uint16_t id) {
  forget_ids(client, id);
  topic->id = id;
}

static mqttsn_topic *topic_of(const mqttsn_client *client, uint8_t type, uint16_t id) {
  mqttsn_topic *topic;
  for (topic = client->topics; topic != NULL; topic = topic->next) {
    if (topic->type == type && topic->id == id) return topic;
  }
  return NULL;
}

static mqttsn_told *told_of(const mqttsn_client *client, uint16_t id) {
  uint8_t at;
  for (at = 0; at < client->config->told_count; at++) {
    if (client->config->told[at].id == id) return &client->config->told[at];
  }
  return NULL;
}

/* A place for a name: its own, a free one, or the one that was given out longest ago. */
static mqttsn_told *place_for(mqttsn_client *client, const uint8_t *name, size_t length) {
  const mqttsn_config *config = client->config;
  mqttsn_told *place;
  uint8_t at;
  if (config->told_count == 0 || length > MQTTSN_NAME_MAX) return NULL;
  for (at = 0; at < config->told_count; at++) {
    if (config->told[at].id != 0 && is_same(config->told[at].name, name, length)) return &config->told[at];
  }
  place = told_of(client, 0);
  if (place == NULL) {
    place = &config->told[client->next_told];
    client->next_told++;
    if (client->next_told == config->told_count) client->next_told = 0;
  }
  return place;
}

/* ---- what becomes of the connection ---- */

static void lost(mqttsn_client *client, uint8_t code) {
  uint32_t now_ms = now_of(client);
  uint32_t wait_ms = or_default(client->config->reconnect_ms, RECONNECT_MS);
  if (now_ms - client->connected_ms > (wait_ms << RECONNECT_DOUBLINGS)) client->losses = 0;
  client->state = MQTTSN_STATE_WAITING;
  client->request_type = 0;
  client->keeps_subscriptions = false;
  client->link.due_ms = now_ms + (wait_ms << client->losses);
  if (client->losses < RECONNECT_DOUBLINGS) client->losses++;
  tell_of(client, MQTTSN_LOST, NULL, code);
}

static void connected(mqttsn_client *client) {
  mqttsn_topic *topic;
  client->state = MQTTSN_STATE_ACTIVE;
  client->has_session = true;
  client->pinging = false;
  client->connected_ms = now_of(client);
  /* Ids do not outlive a connection (6.10); a gateway that was replaced gives others. */
  forget_ids(client, 0);
  for (topic = client->topics; topic != NULL; topic = topic->next) {
    if ((topic->wishes & SUBSCRIBED) && !client->keeps_subscriptions) topic->wishes |= WANTS_SUBSCRIBE;
  }
  client->keeps_subscriptions = false;
  if (client->publish_step == AWAITS_PUBACK || client->publish_step == AWAITS_PUBREC) {
    client->publish_step = READY;
    client->publish_flags |= SN_DUP;
  }
  restart(client, &client->publish);
  tell_of(client, MQTTSN_CONNECTED, NULL, 0);
}

static void published(mqttsn_client *client, mqttsn_event_type type, uint8_t code) {
  mqttsn_topic *topic = client->publish_topic;
  mqttsn_event event = {0};
  event.type = type;
  event.code = code;
  event.about_message = true;
  event.qos = (uint8_t)((client->publish_flags & SN_QOS) >> SN_QOS_SHIFT);
  event.topic = topic;
  event.name = topic->name;
  event.topic_type = topic->type;
  event.topic_id = topic->id;
  event.data = client->publish_data;
  event.length = client->publish_length;
  client->publish_step = NOTHING;
  tell(client, &event);
}

/* Congestion (6.3): the same again after T_WAIT. */
static void postpone(mqttsn_client *client, mqttsn_retry *retry) {
  retry->tries = 0;
  retry->due_ms = now_of(client) + or_default(client->config->wait_ms, WAIT_MS);
}

/* ---- what the gateway sends ---- */

static void on_connack(mqttsn_client *client, uint8_t code) {
  if (client->state != MQTTSN_STATE_CONNECTING) return;
  if (code == MQTTSN_ACCEPTED) {
    connected(client);
    return;
  }
  client->state = MQTTSN_STATE_WAITING;
  postpone(client, &client->link);
  tell_of(client, MQTTSN_REFUSED, NULL, code);
}

static void on_register(mqttsn_client *client, const mqttsn_packet *packet) {
  mqttsn_topic *topic;
  mqttsn_told *place;
  uint8_t code = MQTTSN_NOT_SUPPORTED;
  size_t at;
  bool is_name = packet->length > 0;
  for (at = 0; at < packet->length; at++) {
    if (packet->data[at] == 0) is_name = false;
  }
  if (is_name && is_assignable(packet->topic_id)) {
    for (topic = client->topics; topic != NULL; topic = topic->next) {
      if (topic->type == MQTTSN_NORMAL && is_same(topic->name, packet->data, packet->length)) break;
    }
    place = topic != NULL ? NULL : place_for(client, packet->data, packet->length);
    if (topic != NULL) {
      assign(client, topic, packet->topic_id);
      code = MQTTSN_ACCEPTED;
    } else if (place != NULL) {
      forget_ids(client, packet->topic_id);
      place->id = packet->topic_id;
      for (at = 0; at < packet->length; at++) place->name[at] = (char)packet->data[at];
      place->name[at] = 0;
      code = MQTTSN_ACCEPTED;
    }
  }
  send_short(client, SN_REGACK, packet->topic_id, packet->message_id, code);
}

/* True when it was not received before, or was released since. The identifiers stand without gaps, oldest first. */
static bool remember(mqttsn_client *client, uint16_t id) {
  uint8_t at = 0;
  while (at < MQTTSN_QOS2_MAX && client->received_ids[at] != 0) {
    if (client->received_ids[at++] == id) return false;
  }
  if (at == MQTTSN_QOS2_MAX) {
    for (at = 0; at < MQTTSN_QOS2_MAX - 1; at++) client->received_ids[at] = client->received_ids[at + 1];
  }
  client->received_ids[at] = id;
  return true;
}

static void release(mqttsn_client *client, uint16_t id) {
  uint8_t from;
  uint8_t to = 0;
  for (from = 0; from < MQTTSN_QOS2_MAX; from++) {
    if (client->received_ids[from] != id) client->received_ids[to++] = client->received_ids[from];
  }
  while (to < MQTTSN_QOS2_MAX) client->received_ids[to++] = 0;
}

static void on_publish(mqttsn_client *client, const mqttsn_packet *packet) {
  mqttsn_told *told = NULL;
  mqttsn_event event = {0};
  event.type = MQTTSN_MESSAGE;
  event.qos = (uint8_t)((packet->flags & SN_QOS) >> SN_QOS_SHIFT);
  event.retain = (packet->flags & SN_RETAIN) != 0;
  event.dup = (packet->flags & SN_DUP) != 0;
  event.topic_type = packet->flags & SN_TOPIC_TYPE;
  event.topic_id = packet->topic_id;
  event.data = packet->data;
  event.length = packet->length;
  if (event.topic_type > MQTTSN_SHORT) return;
  if ((event.qos == 1 || event.qos == 2) && packet->message_id == 0) return;

  if (event.topic_type != MQTTSN_NORMAL || packet->topic_id != 0) {
    event.topic = topic_of(client, event.topic_type, packet->topic_id);
  }
  if (event.topic_type == MQTTSN_NORMAL) {
    if (event.topic == NULL && packet->topic_id != 0) told = told_of(client, packet->topic_id);
    if (event.topic == NULL && told == NULL) {
      /* The gateway then registers the topic again (6.10). */
      send_short(client, SN_PUBACK, packet->topic_id, packet->message_id, MQTTSN_INVALID_TOPIC_ID);
      return;
    }
    event.name = told != NULL ? told->name : event.topic->name;
  }
  if (event.qos != 2 || remember(client, packet->message_id)) tell(client, &event);
  if (event.qos == 1) send_short(client, SN_PUBACK, packet->topic_id, packet->message_id, MQTTSN_ACCEPTED);
  if (event.qos == 2) send_short(client, SN_PUBREC, 0, packet->message_id, 0);
}

static void on_puback(mqttsn_client *client, const mqttsn_packet *packet) {
  bool waits = client->publish_step == AWAITS_PUBACK || client->publish_step == AWAITS_PUBREC;
  bool is_unknown = packet->code == MQTTSN_INVALID_TOPIC_ID;
  if (!waits || packet->message_id != client->publish_id) {
    /* Of a QoS 0 message: the next one registers the topic anew. */
    if (is_unknown && packet->topic_id != 0) forget_ids(client, packet->topic_id);
    return;
  }
  if (packet->code == MQTTSN_ACCEPTED) {
    if (client->publish_step == AWAITS_PUBACK) published(client, MQTTSN_PUBLISHED, 0);
  } else if (packet->code == MQTTSN_CONGESTION) {
    postpone(client, &client->publish);
  } else if (is_unknown && client->publish_topic->type == MQTTSN_NORMAL && client->publish_renewals < RENEWALS_MAX) {
    client->publish_renewals++;
    client->publish_topic->id = 0;
    client->publish_step = READY;
    restart(client, &client->publish);
  } else {
    published(client, MQTTSN_FAILED, packet->code);
  }
}

static void on_pubrec(mqttsn_client *client, uint16_t id) {
  bool is_ours = client->publish_step != NOTHING && id == client->publish_id;
  if (is_ours && client->publish_step != AWAITS_PUBREC && client->publish_step != AWAITS_PUBCOMP) return;
  if (is_ours) {
    client->publish_step = AWAITS_PUBCOMP;
    client->publish.tries = 1;
    client->publish.due_ms = now_of(client) + retry_ms(client);
  }
  /* Also for one that was finished long ago: PUBCOMP or our memory of it may have been lost. */
  send_short(client, SN_PUBREL, 0, id, 0);
}

/* REGACK, SUBACK or UNSUBACK. */
static void on_answer(mqttsn_client *client, const mqttsn_packet *packet) {
  mqttsn_topic *topic = client->request_topic;
  uint8_t type = client->request_type;
  uint8_t code = packet->code;
  /* Each answer's type is its question's and one. */
  if (type == 0 || packet->type != type + 1 || packet->message_id != client->request_id) return;
  if (code == MQTTSN_CONGESTION) {
    postpone(client, &client->request);
    return;
  }
  client->request_type = 0;
  if (type == SN_UNSUBSCRIBE) {
    topic->wishes &= (uint8_t)~WANTS_UNSUBSCRIBE;
    tell_of(client, MQTTSN_UNSUBSCRIBED, topic, 0);
    return;
  }
  if (code == MQTTSN_ACCEPTED && topic->type == MQTTSN_NORMAL) {
    if (is_assignable(packet->topic_id)) {
      assign(client, topic, packet->topic_id);
    } else if (type == SN_REGISTER) {
      code = MQTTSN_NOT_SUPPORTED;
    }
  }
  if (type == SN_SUBSCRIBE) {
    topic->wishes &= (uint8_t)~WANTS_SUBSCRIBE;
    if (code == MQTTSN_ACCEPTED) {
      topic->wishes |= SUBSCRIBED;
      topic->qos = (uint8_t)((packet->flags & SN_QOS) >> SN_QOS_SHIFT);
      tell_of(client, MQTTSN_SUBSCRIBED, topic, 0);
      return;
    }
    topic->wishes &= (uint8_t)~SUBSCRIBED;
  } else {
    topic->wishes &= (uint8_t)~WANTS_ID;
    if (code == MQTTSN_ACCEPTED) {
      tell_of(client, MQTTSN_REGISTERED, topic, 0);
      return;
    }
    if (client->publish_step == READY && client->publish_topic == topic) {
      published(client, MQTTSN_FAILED, code);
      return;
    }
  }
  tell_of(client, MQTTSN_FAILED, topic, code);
}

static void on_disconnect(mqttsn_client *client) {
  switch (client->state) {
    case MQTTSN_STATE_DOZING:
      client->state = MQTTSN_STATE_ASLEEP;
      tell_of(client, MQTTSN_ASLEEP, NULL, 0);
      break;
    case MQTTSN_STATE_LEAVING:
      client->state = MQTTSN_STATE_DISCONNECTED;
      tell_of(client, MQTTSN_DISCONNECTED, NULL, 0);
      break;
    case MQTTSN_STATE_ACTIVE:
      lost(client, 0);
      break;
    case MQTTSN_STATE_AWAKE:
      /* Before PINGREQ is sent it is the answer to an earlier DISCONNECT, repeated. */
      if (client->link.tries > 0) lost(client, 0);
      break;
    default:
      break;
  }
}

static void on_pingresp(mqttsn_client *client) {
  client->pinging = false;
  /* Before our PINGREQ is sent it answers an earlier one. */
  if (client->state != MQTTSN_STATE_AWAKE || client->link.tries == 0) return;
  client->state = MQTTSN_STATE_ASLEEP;
  tell_of(client, MQTTSN_ASLEEP, NULL, 0);
}

/* What means something on a connection only. */
static void on_connected_packet(mqttsn_client *client, const mqttsn_packet *packet) {
  switch (packet->type) {
    case SN_REGISTER:
      on_register(client, packet);
      break;
    case SN_PUBLISH:
      on_publish(client, packet);
      break;
    case SN_PUBACK:
      on_puback(client, packet);
      break;
    case SN_PUBREC:
      on_pubrec(client, packet->message_id);
      break;
    case SN_PUBREL:
      release(client, packet->message_id);
      send_short(client, SN_PUBCOMP, 0, packet->message_id, 0);
      break;
    case SN_PUBCOMP:
      if (client->publish_step == AWAITS_PUBCOMP && packet->message_id == client->publish_id) {
        published(client, MQTTSN_PUBLISHED, 0);
      }
      break;
    case SN_REGACK:
    case SN_SUBACK:
    case SN_UNSUBACK:
      on_answer(client, packet);
      break;
    case SN_PINGREQ:
      send_short(client, SN_PINGRESP, 0, 0, 0);
      break;
    case SN_PINGRESP:
      on_pingresp(client);
      break;
    default:
      break;
  }
}

static void on_packet(mqttsn_client *client, const mqttsn_packet *packet) {
  bool is_connecting = client->state == MQTTSN_STATE_CONNECTING;
  client->received_ms = now_of(client);
  /* A window that is being used stays open: PINGRESP comes after all that was buffered. */
  if (client->state == MQTTSN_STATE_AWAKE && client->link.tries > 0) {
    client->link.tries = 1;
    client->link.due_ms = client->received_ms + retry_ms(client);
  }
  if (packet->type == SN_CONNACK) {
    on_connack(client, packet->code);
  } else if (packet->type == SN_DISCONNECT) {
    on_disconnect(client);
  } else if (packet->type == SN_WILLTOPICREQ) {
    if (is_connecting) send_will_topic(client);
  } else if (packet->type == SN_WILLMSGREQ) {
    const mqttsn_will *will = client->config->will;
    if (is_connecting) {
      send_data(client, SN_WILLMSG, 0, will != NULL ? will->message : NULL, will != NULL ? will->message_length : 0);
    }
  } else if (client->state >= MQTTSN_STATE_ACTIVE) {
    on_connected_packet(client, packet);
  }
}

/* ---- what is due ---- */

static uint32_t quiet_ms(const mqttsn_client *client) {
  /* A quarter early: a PINGREQ that is lost can be sent again before the gateway gives up. */
  return or_default(client->config->keep_alive_seconds, KEEP_ALIVE_SECONDS) * 750u;
}

/* When the link itself has something to send; false when it has not. */
static bool link_due(const mqttsn_client *client, uint32_t *due_ms) {
  uint32_t quiet_since;
  switch (client->state) {
    case MQTTSN_STATE_DISCONNECTED:
    case MQTTSN_STATE_ASLEEP:
      return false;
    case MQTTSN_STATE_ACTIVE:
      if (client->pinging) break;
      /* Both ways: who only sends QoS 0 would never notice that nobody hears it. */
      quiet_since = has_come(client->sent_ms, client->received_ms) ? client->sent_ms : client->received_ms;
      *due_ms = quiet_since + quiet_ms(client);
      return true;
    default:
      break;
  }
  *due_ms = client->link.due_ms;
  return true;
}

static void send_link(mqttsn_client *client) {
  switch (client->state) {
    case MQTTSN_STATE_CONNECTING:
      send_connect(client);
      break;
    case MQTTSN_STATE_DOZING:
      send_disconnect(client, client->sleep_seconds);
      break;
    case MQTTSN_STATE_LEAVING:
      send_disconnect(client, 0);
      break;
    case MQTTSN_STATE_AWAKE:
      send_data(client, SN_PINGREQ, 0, client->config->client_id, length_of(client->config->client_id));
      break;
    default:
      send_short(client, SN_PINGREQ, 0, 0, 0);
      break;
  }
}

/* Counts a try; false when there were enough. */
static bool may_try(const mqttsn_client *client, mqttsn_retry *retry, uint32_t now_ms) {
  if (retry->tries > or_default(client->config->retries, RETRIES)) return false;
  retry->tries++;
  retry->due_ms = now_ms + retry_ms(client);
  return true;
}

static void tick_link(mqttsn_client *client, uint32_t now_ms) {
  uint32_t due_ms = 0;
  if (!link_due(client, &due_ms) || !has_come(due_ms, now_ms)) return;
  if (client->state == MQTTSN_STATE_WAITING) {
    client->state = MQTTSN_STATE_CONNECTING;
    client->link.tries = 0;
  }
  if (client->state == MQTTSN_STATE_ACTIVE && !client->pinging) {
    client->pinging = true;
    client->link.tries = 0;
  }
  if (may_try(client, &client->link, now_ms)) {
    send_link(client);
  } else if (client->state == MQTTSN_STATE_CONNECTING) {
    client->link.tries = 0;
    tell_of(client, MQTTSN_UNANSWERED, NULL, 0);
  } else if (client->state == MQTTSN_STATE_LEAVING) {
    client->state = MQTTSN_STATE_DISCONNECTED;
    tell_of(client, MQTTSN_DISCONNECTED, NULL, 0);
  } else {
    lost(client, 1);
  }
}

static void choose_request(mqttsn_client *client) {
  mqttsn_topic *topic = client->publish_topic;
  uint8_t type = 0;
  if (client->publish_step == READY && !has_id(topic)) {
    type = SN_REGISTER;
  } else {
    for (topic = client->topics; topic != NULL; topic = topic->next) {
      if (topic->wishes & WANTS_UNSUBSCRIBE) type = SN_UNSUBSCRIBE;
      if (topic->wishes & WANTS_SUBSCRIBE) type = SN_SUBSCRIBE;
      if (topic->wishes & WANTS_ID) type = SN_REGISTER;
      if (type != 0) break;
    }
  }
  if (type == 0) return;
  client->request_type = type;
  client->request_topic = topic;
  client->request_id = new_id(client);
  restart(client, &client->request);
}

static void tick_request(mqttsn_client *client, uint32_t now_ms) {
  if (client->state != MQTTSN_STATE_ACTIVE) return;
  if (client->request_type == 0) choose_request(client);
  if (client->request_type == 0 || !has_come(client->request.due_ms, now_ms)) return;
  if (may_try(client, &client->request, now_ms)) {
    send_request(client);
  } else {
    lost(client, 1);
  }
}

static void tick_publish(mqttsn_client *client, uint32_t now_ms) {
  uint8_t qos = (uint8_t)((client->publish_flags & SN_QOS) >> SN_QOS_SHIFT);
  if (client->state != MQTTSN_STATE_ACTIVE || client->publish_step == NOTHING) return;
  if (client->publish_step == READY && !has_id(client->publish_topic)) return;
  if (!has_come(client->publish.due_ms, now_ms)) return;
  if (!may_try(client, &client->publish, now_ms)) {
    lost(client, 1);
    return;
  }
  if (client->publish_step == AWAITS_PUBCOMP) {
    send_short(client, SN_PUBREL, 0, client->publish_id, 0);
    return;
  }
  if (client->publish_step != READY) client->publish_flags |= SN_DUP;
  send_publish(client, client->publish_topic, client->publish_flags, client->publish_id, client->publish_data,
               client->publish_length);
  if (qos == 0) {
    published(client, MQTTSN_PUBLISHED, 0);
  } else {
    client->publish_step = qos == 1 ? AWAITS_PUBACK : AWAITS_PUBREC;
  }
}

static uint32_t sooner(uint32_t least_ms, uint32_t due_ms, uint32_t now_ms) {
  uint32_t wait_ms = has_come(due_ms, now_ms) ? 0 : due_ms - now_ms;
  return wait_ms < least_ms ? wait_ms : least_ms;
}

static uint32_t next_ms(mqttsn_client *client, uint32_t now_ms) {
  uint32_t least_ms = UINT32_MAX;
  uint32_t due_ms = 0;
  if (link_due(client, &due_ms)) least_ms = sooner(least_ms, due_ms, now_ms);
  if (client->state != MQTTSN_STATE_ACTIVE) return least_ms;
  if (client->request_type == 0) choose_request(client);
  if (client->request_type != 0) least_ms = sooner(least_ms, client->request.due_ms, now_ms);
  if (client->publish_step != NOTHING && (client->publish_step != READY || has_id(client->publish_topic))) {
    least_ms = sooner(least_ms, client->publish.due_ms, now_ms);
  }
  return least_ms;
}

/* ---- the interface ---- */

mqttsn_result mqttsn_init(mqttsn_client *client, const mqttsn_config *config) {
  size_t length = config->client_id != NULL ? length_of(config->client_id) : 0;
  *client = (mqttsn_client){0};
  client->config = config;
  client->next_id = (uint16_t)or_default(config->first_message_id, 1);
  forget_ids(client, 0);
  return length >= 1 && length <= MQTTSN_CLIENT_ID_MAX ? MQTTSN_OK : MQTTSN_WRONG_ARGUMENT;
}

uint32_t mqttsn_poll(mqttsn_client *client) {
  const mqttsn_transport *transport = &client->config->transport;
  const uint8_t *message = NULL;
  mqttsn_packet packet;
  uint8_t count;
  for (count = 0; count < MESSAGES_PER_POLL; count++) {
    size_t length = transport->receive(transport->context, &message);
    if (length == 0) break;
    if (mqttsn_packet_read(message, length, &packet)) on_packet(client, &packet);
  }
  tick_link(client, now_of(client));
  tick_request(client, now_of(client));
  tick_publish(client, now_of(client));
  return count == MESSAGES_PER_POLL ? 0 : next_ms(client, now_of(client));
}

mqttsn_result mqttsn_connect(mqttsn_client *client) {
  switch (client->state) {
    case MQTTSN_STATE_ASLEEP:
    case MQTTSN_STATE_AWAKE:
      client->keeps_subscriptions = true;
      break;
    case MQTTSN_STATE_DISCONNECTED:
    case MQTTSN_STATE_WAITING:
      break;
    default:
      return MQTTSN_WRONG_STATE;
  }
  client->state = MQTTSN_STATE_CONNECTING;
  restart(client, &client->link);
  return MQTTSN_OK;
}

mqttsn_result mqttsn_disconnect(mqttsn_client *client) {
  if (client->state == MQTTSN_STATE_DISCONNECTED || client->state == MQTTSN_STATE_LEAVING) return MQTTSN_WRONG_STATE;
  client->state = MQTTSN_STATE_LEAVING;
  client->request_type = 0;
  restart(client, &client->link);
  return MQTTSN_OK;
}

mqttsn_result mqttsn_sleep(mqttsn_client *client, uint16_t seconds) {
  if (seconds == 0) return MQTTSN_WRONG_ARGUMENT;
  if (client->state != MQTTSN_STATE_ACTIVE && client->state != MQTTSN_STATE_ASLEEP) return MQTTSN_WRONG_STATE;
  if (client->state == MQTTSN_STATE_ACTIVE && !mqttsn_is_idle(client)) return MQTTSN_BUSY;
  client->state = MQTTSN_STATE_DOZING;
  client->sleep_seconds = seconds;
  restart(client, &client->link);
  return MQTTSN_OK;
}

mqttsn_result mqttsn_wake(mqttsn_client *client) {
  if (client->state != MQTTSN_STATE_ASLEEP) return MQTTSN_WRONG_STATE;
  client->state = MQTTSN_STATE_AWAKE;
  restart(client, &client->link);
  return MQTTSN_OK;
}

mqttsn_result mqttsn_register(mqttsn_client *client, mqttsn_topic *topic) {
  if (topic->type != MQTTSN_NORMAL || !is_valid(topic) || has_wildcard(topic)) return MQTTSN_WRONG_ARGUMENT;
  list(client, topic);
  topic->wishes |= WANTS_ID;
  return MQTTSN_OK;
}

static bool is_being_asked(const mqttsn_client *client, const mqttsn_topic *topic) {
  return client->request_type != 0 && client->request_topic == topic;
}

mqttsn_result mqttsn_subscribe(mqttsn_client *client, mqttsn_topic *topic, uint8_t qos) {
  if (qos > 2 || !is_valid(topic)) return MQTTSN_WRONG_ARGUMENT;
  if (is_being_asked(client, topic)) return MQTTSN_BUSY;
  list(client, topic);
  topic->qos = qos;
  topic->wishes &= (uint8_t)~WANTS_UNSUBSCRIBE;
  topic->wishes |= WANTS_SUBSCRIBE;
  return MQTTSN_OK;
}

mqttsn_result mqttsn_unsubscribe(mqttsn_client *client, mqttsn_topic *topic) {
  if (!is_valid(topic)) return MQTTSN_WRONG_ARGUMENT;
  if (is_being_asked(client, topic)) return MQTTSN_BUSY;
  list(client, topic);
  topic->wishes &= (uint8_t) ~(WANTS_SUBSCRIBE | SUBSCRIBED);
  topic->wishes |= WANTS_UNSUBSCRIBE;
  return MQTTSN_OK;
}

mqttsn_result mqttsn_publish(mqttsn_client *client, mqttsn_topic *topic, const uint8_t *data, size_t length, int8_t qos,
                             bool retain) {
  uint8_t flags = (uint8_t)(((uint8_t)qos << SN_QOS_SHIFT) & SN_QOS);
  bool is_connecting = client->state == MQTTSN_STATE_CONNECTING || client->state == MQTTSN_STATE_WAITING;
  bool is_active = client->state == MQTTSN_STATE_ACTIVE;
  if (!is_valid(topic) || has_wildcard(topic) || qos < -1 || qos > 2) return MQTTSN_WRONG_ARGUMENT;
  if (length > 0xffffu - MQTTSN_HEAD_MAX) return MQTTSN_WRONG_ARGUMENT;
  if (retain) flags |= SN_RETAIN;
  if (qos < 0) {
    if (topic->type == MQTTSN_NORMAL) return MQTTSN_WRONG_ARGUMENT;
    send_publish(client, topic, flags, 0, data, length);
    return MQTTSN_OK;
  }
  if (!is_active && !(is_connecting && qos > 0)) return MQTTSN_WRONG_STATE;
  list(client, topic);
  if (qos == 0 && has_id(topic)) {
    send_publish(client, topic, flags, 0, data, length);
    return MQTTSN_OK;
  }
  if (client->publish_step != NOTHING) return MQTTSN_BUSY;
  client->publish_step = READY;
  client->publish_topic = topic;
  client->publish_flags = flags;
  client->publish_renewals = 0;
  client->publish_data = data;
  client->publish_length = length;
  client->publish_id = qos > 0 ? new_id(client) : 0;
  restart(client, &client->publish);
  return MQTTSN_OK;
}

mqttsn_state mqttsn_state_of(const mqttsn_client *client) { return (mqttsn_state)client->state; }

bool mqttsn_is_idle(const mqttsn_client *client) {
  const mqttsn_topic *topic;
  if (client->request_type != 0 || client->publish_step != NOTHING) return false;
  for (topic = client->topics; topic != NULL; topic = topic->next) {
    if (topic->wishes & TO_DO) return false;
  }
  return true;
}
