/** How the broker speaks MQTT: the `mqtt`, `sessions`, `queue` and `sys` parts of the configuration. */
export interface BrokerOptions {
  /** False: Retain Available 0, and a retained PUBLISH is refused. */
  retain: boolean;
  sharedSubscriptions: boolean;
  subscriptionIdentifiers: boolean;
  wildcards: boolean;
  maximumQos: 0 | 1 | 2;
  /** Unacknowledged QoS 2 (and, while a hook works, QoS 1) PUBLISH packets from one client; 1 to 65,535. */
  receiveMaximum: number;
  /** Bytes of a whole packet, 1 to 4,294,967,295; capped by what the encoding allows, 268,435,460. */
  maximumPacketSize: number;
  /** Topic Aliases a client may set, 0 to 65,535; also the most we set towards a client. */
  topicAliasMaximum: number;
  /** Give outgoing topics an alias where the client allows some. */
  autoTopicAlias: boolean;
  /** Seconds, 0 to 65,535; replaces the 5.0 client's value. undefined: the client's holds. */
  serverKeepAlive: number | undefined;
  /** Seconds; a greater value of the client, or 0, is replaced (5.0) or capped (3.x, 0 stays allowed). */
  keepAliveMax: number | undefined;
  /** Seconds a client that sends Keep Alive 0 is given instead, as MQTT-Server's `keep_alive`. */
  keepAliveDefault: number | undefined;
  /** Seconds; replaces the 5.0 client's value. */
  sessionExpiry: number | undefined;
  /** Seconds; caps every session's expiry. */
  sessionExpiryMax: number;
  /** Seconds; caps and, for messages without one, sets the expiry of queued and retained messages. */
  messageExpiryMax: number | undefined;
  minimumProtocolVersion: 3 | 4 | 5;
  responseInformation: boolean;
  compat: {
    /** Answer refused subscriptions with 0x80 instead of 0x87, as Mosquitto 1.x. */
    obscureNotAuthorized: boolean;
    /** After a 5.0 protocol error send DISCONNECT but leave closing to the client for a while. */
    passiveClientDisconnect: boolean;
    /** Send Response Information even when it was not requested. */
    alwaysReturnResponseInfo: boolean;
    /** Do not copy User Properties of a PUBLISH to its acknowledgement, as mochi does: clients exist that cannot read them. */
    noInheritedPropertiesOnAck: boolean;
  };
  /** What identifies a session: a client id of its own for each user, or one for all. */
  sessionKey: "user+client" | "client";
  queue: {
    overflow: "drop-oldest" | "drop-newest";
    /** Keep QoS 0 messages for absent sessions too. */
    qos0: boolean;
    /**
     * Topic Filters. Of each topic that one of them matches only the newest message waits for a session that is away,
     * asleep or slow: it takes the place of the one before, at the end of the queue. Messages of shares and those with
     * RETAIN all wait.
     */
    keepLast: readonly string[];
  };
  /**
   * What an acknowledgement waits for, where there is a store: milliseconds until what it promises is written. 0: it
   * waits until it is on disk; more: it leaves at once, and a crash may lose so much; Infinity: nothing is written for
   * the message's sake. The first of `topics` whose filter matches decides, else `delayMs`.
   */
  durability: { delayMs: number; topics: readonly { topicFilter: string; delayMs: number }[] };
  /** Bytes a day that may be written to the disk before batches are stretched, see FlashUse; undefined: any number. */
  dailyBudgetBytes?: number | undefined;
  sys: {
    enabled: boolean;
    intervalMs: number;
    /** Take up totals where StoredSysInfo left them. */
    restore: boolean;
  };
  /** Payload bytes shown at most when packets are logged at debug; 0 shows none. */
  logPayloadBytes: number;
}

export function defaultOptions(): BrokerOptions {
  return {
    retain: true,
    sharedSubscriptions: true,
    subscriptionIdentifiers: true,
    wildcards: true,
    maximumQos: 2,
    receiveMaximum: 1024,
    maximumPacketSize: 2 * 1024 * 1024,
    topicAliasMaximum: 64,
    autoTopicAlias: false,
    serverKeepAlive: undefined,
    keepAliveMax: undefined,
    keepAliveDefault: undefined,
    sessionExpiry: undefined,
    sessionExpiryMax: 30 * 24 * 3600,
    messageExpiryMax: undefined,
    minimumProtocolVersion: 3,
    responseInformation: true,
    compat: {
      obscureNotAuthorized: false,
      passiveClientDisconnect: false,
      alwaysReturnResponseInfo: false,
      noInheritedPropertiesOnAck: true,
    },
    sessionKey: "user+client",
    queue: { overflow: "drop-oldest", qos0: false, keepLast: [] },
    durability: { delayMs: 0, topics: [] },
    sys: { enabled: true, intervalMs: 10_000, restore: false },
    logPayloadBytes: 0,
  };
}
