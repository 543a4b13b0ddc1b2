import { isIP } from "node:net";
import { type LineMistake, type LineSettings, readLine } from "../../device/serial/line-spec.ts";
import { mountPointMistake } from "../core/entrance.ts";
import type { Problem } from "../text/problem.ts";
import { isTopicName } from "../topic/name.ts";
import type { Files } from "./files.ts";
import type { Assignment } from "./layer.ts";
import type { Picker } from "./picker.ts";
import type { MqttSnSettings } from "./settings.ts";
import { upstreamSettings } from "./upstream.ts";

const DEFAULT_STATE_PREFIX = "$SYS/broker/clients";
const UPSTREAM_MOUNT_POINT = "mqtt-sn/";
const TOPIC_ID_MAX = 0xfffe;
const FIRST_OCTET_OF_GROUPS = { min: 224, max: 239 };

/** The gateway, and the other broker that it may have. Problems: what is no value, and what is given without use. */
export function mqttSnSettings(pick: Picker, files: Files, problems: Problem[]): MqttSnSettings {
  const group = pick.value<string | undefined>("mqttSn.group", undefined);
  const objection = group === undefined ? undefined : objectionToGroup(group);
  if (objection !== undefined) problems.push(pick.origin("mqttSn.group").problem("error", objection));
  const port = pick.optional("mqttSn.port");
  if (group !== undefined && port === undefined) {
    problems.push(pick.origin("mqttSn.group").problem("warning", "not used, since there is no --mqtt-sn-port"));
  }
  return {
    port,
    host: pick.value("bind", "::"),
    group,
    gatewayId: pick.value("mqttSn.gatewayId", 1),
    advertiseSeconds: pick.value("mqttSn.advertise", 900),
    retryMs: pick.value("mqttSn.retryInterval", 10_000),
    retries: pick.value("mqttSn.retryCount", 3),
    ...predefinedTopics(pick.assignments("mqttSn.topics"), problems),
    cleanSessionSeconds: pick.value("mqttSn.cleanSessionExpiry", 86_400),
    statePrefix: statePrefixOf(pick, problems),
    ...upstreamOf(pick, files, problems),
  };
}

/** The tables of `--mqtt-sn-topic`. Problems: what is no number and topic, and a number that is given twice. */
function predefinedTopics(
  assignments: readonly Assignment[],
  problems: Problem[],
): Pick<MqttSnSettings, "predefined" | "predefinedOf"> {
  const predefined = new Map<number, string>();
  const predefinedOf = new Map<string, Map<number, string>>();
  for (const { value, origin } of assignments) {
    const [, client, digits, name = ""] = /^(?:([^=]+):)?(\d{1,5})=(.+)$/s.exec(String(value)) ?? [];
    const id = Number(digits);
    if (digits === undefined || id < 1 || id > TOPIC_ID_MAX || !isTopicName(name)) {
      const message = `${JSON.stringify(value)} is no predefined topic`;
      const hint = `Write ID=TOPIC, or CLIENT:ID=TOPIC for one client, with an ID from 1 to ${TOPIC_ID_MAX} and a topic without + and #`;
      problems.push(origin.problem("error", message, hint));
      continue;
    }
    const table = client === undefined ? predefined : (predefinedOf.get(client) ?? new Map<number, string>());
    if (client !== undefined) predefinedOf.set(client, table);
    const before = table.get(id);
    if (before !== undefined && before !== name) {
      const whose = client === undefined ? "" : ` of ${client}`;
      problems.push(origin.problem("error", `The predefined topic ${id}${whose} is ${before} already`));
    }
    table.set(id, name);
  }
  return { predefined, predefinedOf };
}

/** What stands before the topics of all clients. With an upstream they need one of their own, and one for all. */
function mountPointOf(given: Assignment | undefined, hasUpstream: boolean, problems: Problem[]): string | undefined {
  if (given === undefined) return hasUpstream ? UPSTREAM_MOUNT_POINT : undefined;
  const mountPoint = String(given.value);
  const mistake = mountPointMistake(mountPoint);
  if (mistake !== undefined) {
    problems.push(given.origin.problem("error", `The mount point ${JSON.stringify(mountPoint)} ${mistake}`));
  } else if (hasUpstream && /%[cu]/.test(mountPoint)) {
    const message = `The mount point ${JSON.stringify(mountPoint)} is not the same for all clients, as an upstream needs it`;
    problems.push(given.origin.problem("error", message, "Leave out %c and %u"));
  }
  return mountPoint;
}

/** Why the address is no multicast group of IPv4; undefined when it is one. */
function objectionToGroup(address: string): string | undefined {
  const first = Number(address.split(".")[0]);
  const { min, max } = FIRST_OCTET_OF_GROUPS;
  if (isIP(address) === 4 && first >= min && first <= max) return undefined;
  return `${JSON.stringify(address)} is no multicast group of IPv4: those are 224.0.0.0 to 239.255.255.255`;
}

function statePrefixOf(pick: Picker, problems: Problem[]): string {
  const prefix = pick.value("mqttSn.statePrefix", DEFAULT_STATE_PREFIX);
  if (isTopicName(prefix) && !prefix.endsWith("/")) return prefix;
  const message = `${JSON.stringify(prefix)} is no beginning of a topic: it needs a name without + and #, and no / at its end`;
  problems.push(pick.origin("mqttSn.statePrefix").problem("error", message));
  return DEFAULT_STATE_PREFIX;
}

function upstreamOf(pick: Picker, files: Files, problems: Problem[]): Pick<MqttSnSettings, "mountPoint" | "upstream"> {
  const given = (name: string): Assignment | undefined => pick.assignments(`mqttSn.upstream.${name}`).at(-1);
  const pathOf = (name: string): string | undefined => pick.paths(`mqttSn.upstream.${name}`, files, problems).at(-1);
  const upstream = upstreamSettings(given, pathOf, problems);
  const mountPoint = mountPointOf(pick.assignments("mqttSn.mountPoint").at(-1), upstream !== undefined, problems);
  return { mountPoint, upstream };
}

/** The lines of `--serial`, each path once. */
export function serialLines(assignments: readonly Assignment[], problems: Problem[]): LineSettings[] {
  const lines: LineSettings[] = [];
  for (const { value, origin } of assignments) {
    const mistakes: LineMistake[] = [];
    const line = readLine(
      typeof value === "object" && value !== null && "object" in value ? value.object : value,
      mistakes,
    );
    for (const { message } of mistakes) problems.push(origin.problem("error", message));
    if (line === undefined) continue;
    if (lines.some(({ path }) => path === line.path)) {
      problems.push(origin.problem("error", `The serial line ${line.path} is given twice`));
    } else lines.push(line);
  }
  return lines;
}
