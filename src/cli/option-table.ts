import type { ValueType } from "../config/value.ts";
import { MQTT_OPTIONS } from "./option-table-mqtt.ts";
import { WAY_IN_OPTIONS } from "./option-table-ways-in.ts";
import type { Option } from "./options.ts";

const BOOLEAN: ValueType = { kind: "boolean" };
const UINT32_MAX = 4_294_967_295;

const ONE_LOOP = "one event loop does the work of MQTT";

/** One entry for each option, in the order of the help. */
export const OPTION_TABLE: readonly Option[] = [
  {
    name: "config",
    group: "Files",
    type: { kind: "file" },
    metavar: "FILE",
    defaultText:
      "the first that exists of ./mqtt-broker.json5, ./config/config.yaml, /etc/mqtt-broker/mqtt-broker.json5",
    help: "Configuration: JSON5, or the config.yaml of MQTT-Server; also conf.d/*.json5 beside it (also -config)",
  },
  {
    name: "data-dir",
    group: "Files",
    key: "dataDir",
    type: { kind: "file" },
    metavar: "DIRECTORY",
    defaultText: "$STATE_DIRECTORY, else ./data",
    help: "Where the broker keeps what must survive a restart",
  },

  ...WAY_IN_OPTIONS,

  {
    name: "allow-anonymous",
    group: "Who may connect",
    key: "auth.allowAnonymous",
    type: { kind: "boolean", words: ["local"] },
    defaultText: "as auth.json5 says, and local without one",
    help: "Let in clients without a user name: from everywhere, from nowhere, or from this machine only",
  },
  {
    name: "auth-file",
    group: "Who may connect",
    key: "auth.file",
    type: { kind: "file" },
    metavar: "FILE",
    defaultText: "auth.json5 beside the configuration, else ./auth.json5",
    help: "Users, groups and rules, JSON5; a change takes effect within a second",
  },
  {
    name: "max-blocking-threads",
    group: "Who may connect",
    key: "auth.hashWorkers",
    type: { kind: "integer", min: 1, max: 1024 },
    metavar: "COUNT",
    default: 2,
    help: "Passwords that are checked at a time, each in a thread of its own; more than 4 need UV_THREADPOOL_SIZE",
  },

  ...MQTT_OPTIONS,

  {
    name: "session-key",
    group: "Sessions and queues",
    key: "sessions.key",
    type: { kind: "enum", values: ["user+client", "client"] },
    default: "user+client",
    help: "What a session belongs to: a client id of each user, or a client id",
  },
  {
    name: "queue-overflow",
    group: "Sessions and queues",
    key: "queue.overflow",
    type: { kind: "enum", values: ["drop-oldest", "drop-newest"] },
    default: "drop-oldest",
    help: "Which message is given up when a session's queue is full",
  },
  {
    name: "queue-qos0",
    group: "Sessions and queues",
    key: "queue.qos0",
    type: BOOLEAN,
    default: false,
    help: "Keep QoS 0 messages for absent sessions too",
  },
  {
    name: "queue-keep-last",
    group: "Sessions and queues",
    key: "queue.keepLast",
    type: { kind: "string" },
    metavar: "FILTER",
    repeatable: true,
    defaultText: "none: all of them wait",
    help: "Topics of which only the newest message waits for a client that is away, asleep or slow, such as setpoints/#",
  },

  {
    name: "limit",
    group: "Limits",
    type: { kind: "limit" },
    metavar: "NAME=VALUE",
    repeatable: true,
    help: "Set a limit of the table below",
  },

  {
    name: "store",
    group: "Storage",
    key: "store.type",
    type: { kind: "enum", values: ["sqlite", "memory", "module"] },
    default: "sqlite",
    help: "Where sessions, queues and retained messages are kept: in a file of --data-dir, in memory until the process ends, or by --store-module",
  },
  {
    name: "store-module",
    group: "Storage",
    key: "store.module",
    type: { kind: "file" },
    metavar: "FILE",
    help: "A store of your own: a JavaScript or TypeScript module",
  },
  {
    name: "require-store",
    group: "Storage",
    key: "store.required",
    type: BOOLEAN,
    default: false,
    help: "Don't start when nothing can be kept, instead of serving without",
  },
  {
    name: "durability",
    group: "Storage",
    key: "store.durability",
    type: { kind: "durability" },
    metavar: "[FILTER=]POLICY",
    repeatable: true,
    default: 0,
    help: "When what is acknowledged is on disk: sync, before; batch:DURATION, at most so much later; never. For all topics, or for those of a filter: 'sensors/#=batch:30s'",
  },
  {
    name: "store-daily-budget",
    group: "Storage",
    key: "store.dailyBudget",
    type: { kind: "size", min: 1024 * 1024, max: 1024 ** 4 },
    nullable: true,
    defaultText: "no budget",
    help: "How much may be written to the disk in a day: beyond it changes are gathered for longer, to spare flash memory",
  },
  {
    name: "clock",
    group: "Storage",
    key: "store.clock",
    type: { kind: "enum", values: ["auto", "trusted", "untrusted"] },
    default: "auto",
    help: "Whether the system's time is right at start and stop: then time spent off counts for expiry, and certificates are judged by it whatever earlier runs knew; auto asks systemd-timesyncd",
  },

  {
    name: "sys",
    group: "System topics",
    key: "sys.enabled",
    type: BOOLEAN,
    default: true,
    help: "Publish the broker's figures under $SYS/broker",
  },
  {
    name: "sys-interval",
    group: "System topics",
    key: "sys.interval",
    type: { kind: "duration", unit: "ms", min: 100, max: 86_400_000 },
    default: 10_000,
    help: "Time between two publications of the figures",
  },
  {
    name: "sys-restore",
    group: "System topics",
    key: "sys.restore",
    type: BOOLEAN,
    default: false,
    help: "Take up the totals of the last run",
  },

  {
    name: "log-level",
    aliases: ["log"],
    group: "Log",
    key: "log.level",
    type: { kind: "enum", values: ["error", "warn", "info", "debug", "trace"] },
    default: "info",
    help: "Least important lines that are logged",
  },
  {
    name: "log-format",
    group: "Log",
    key: "log.format",
    type: { kind: "enum", values: ["auto", "text", "json"] },
    default: "auto",
    help: "Lines for people or for programs; auto is text on a terminal and under systemd, else JSON",
  },
  {
    name: "log-payload-bytes",
    group: "Log",
    key: "log.payloadBytes",
    type: { kind: "size", min: 0, max: 1024 * 1024 },
    default: 0,
    help: "How much of a payload is shown when packets are logged",
  },

  {
    name: "plugin",
    group: "Extensions",
    key: "plugins",
    type: { kind: "file" },
    metavar: "FILE",
    repeatable: true,
    help: "Load hooks from a JavaScript or TypeScript module",
  },

  {
    name: "thread-keep-alive",
    group: "Options of other brokers, without effect here",
    type: BOOLEAN,
    help: "Keep idle threads",
    ignored: "the threads of --worker-threads are kept as long as the broker runs",
  },
  {
    name: "global-queue-interval",
    group: "Options of other brokers, without effect here",
    type: { kind: "integer", min: 0, max: UINT32_MAX },
    help: "How often threads look for each other's work",
    ignored: `${ONE_LOOP}, so there is no work to share; --limit bounds what one client may take of it`,
  },
  {
    name: "event-interval",
    group: "Options of other brokers, without effect here",
    type: { kind: "integer", min: 0, max: UINT32_MAX },
    help: "How often a thread looks for input and output",
    ignored: `${ONE_LOOP} and looks for input and output once each turn; --limit bounds what one client may take of it`,
  },
  {
    name: "ep-recv-buf-size",
    group: "Options of other brokers, without effect here",
    type: { kind: "size", min: 0, max: 2 ** 31 - 1 },
    help: "Receive buffer of each MQTT connection",
    ignored: "connections have no buffer of their own to read into, so there is nothing to size",
  },

  { name: "help", aliases: ["h"], group: "Other", type: BOOLEAN, help: "Show this help" },
  { name: "version", aliases: ["V"], group: "Other", type: BOOLEAN, help: "Show the version" },
];
