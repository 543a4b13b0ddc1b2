import type { Packet } from "mqtt-packet";

/**
 * A packet as one line, so that a conversation can be compared as a list of lines:
 * `PUBLISH a/b "text" qos1 #7 dup retain {"contentType":"x"}`, `SUBACK #1 01 87`, `DISCONNECT 8e {"reasonString":"…"}`.
 * Everything that is on the wire is in the line.
 */
export function lineOf(packet: Packet): string {
  const parts: string[] = [packet.cmd.toUpperCase()];
  switch (packet.cmd) {
    case "connack":
      parts.push(hex(packet.reasonCode ?? packet.returnCode ?? 0));
      if (packet.sessionPresent) parts.push("present");
      break;
    case "publish":
      parts.push(packet.topic === "" ? "-" : packet.topic, JSON.stringify(packet.payload.toString()));
      if (packet.qos > 0) parts.push(`qos${packet.qos}`, `#${packet.messageId}`);
      if (packet.dup) parts.push("dup");
      if (packet.retain) parts.push("retain");
      break;
    case "puback":
    case "pubrec":
    case "pubrel":
    case "pubcomp":
      parts.push(`#${packet.messageId}`);
      if (packet.reasonCode !== undefined && packet.reasonCode !== 0) parts.push(hex(packet.reasonCode));
      break;
    case "suback":
    case "unsuback":
      parts.push(`#${packet.messageId}`, ...((packet.granted ?? []) as number[]).map(hex));
      break;
    case "disconnect":
    case "auth":
      parts.push(hex(packet.reasonCode ?? 0));
      break;
    default:
      break;
  }
  if ("properties" in packet && packet.properties !== undefined && Object.keys(packet.properties).length > 0) {
    parts.push(JSON.stringify(packet.properties, readable));
  }
  return parts.join(" ");
}

function hex(code: number): string {
  return code.toString(16).padStart(2, "0");
}

/** Buffers come as what their toJSON made of them; they are shown as text. */
function readable(_key: string, value: unknown): unknown {
  const bytes = value as { type?: unknown; data?: number[] } | null;
  return bytes !== null && typeof bytes === "object" && bytes.type === "Buffer" && bytes.data !== undefined
    ? Buffer.from(bytes.data).toString()
    : value;
}
