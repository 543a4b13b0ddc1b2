/** A packet as MQTT.js has it, as far as a debug line shows it. */
export interface DebugPacket {
  cmd: string;
  messageId?: number | undefined;
}

interface Shown extends DebugPacket {
  topic?: string;
  payload?: Uint8Array | string;
  qos?: number;
  retain?: boolean;
  dup?: boolean;
  reasonCode?: number | null;
  returnCode?: number;
  subscriptions?: { topic: string; qos: number; nl?: boolean; rap?: boolean; rh?: number }[];
  unsubscriptions?: string[];
}

/** One line, or one for each filter, in the form of mosquitto's clients: "Client a sending PINGREQ". */
export function debugLine(clientId: string, direction: "sending" | "received", packet: DebugPacket): string {
  const shown = packet as Shown;
  const start = `Client ${clientId === "" ? "(null)" : clientId} ${direction} ${packet.cmd.toUpperCase()}`;
  const mid = shown.messageId ?? 0;
  const code = shown.reasonCode ?? 0;
  switch (shown.cmd) {
    case "connack":
      return `${start} (${shown.reasonCode ?? shown.returnCode ?? 0})`;
    case "publish": {
      const { topic, payload = "" } = shown;
      const flags = `d${shown.dup ? 1 : 0}, q${shown.qos ?? 0}, r${shown.retain ? 1 : 0}, m${mid}`;
      return `${start} (${flags}, '${topic}', ... (${Buffer.byteLength(payload)} bytes))`;
    }
    case "puback":
    case "pubcomp":
      return direction === "sending" ? `${start} (m${mid}, rc${code})` : `${start} (Mid: ${mid}, RC:${code})`;
    case "pubrec":
      return direction === "sending" ? `${start} (m${mid}, rc${code})` : `${start} (Mid: ${mid})`;
    case "pubrel":
      return direction === "sending" ? `${start} (m${mid})` : `${start} (Mid: ${mid})`;
    case "subscribe": {
      const filters = shown.subscriptions ?? [];
      return filters
        .map(({ topic, qos, nl, rap, rh }) => {
          const options = ((rh ?? 0) << 4) | (rap ? 0x08 : 0) | (nl ? 0x04 : 0);
          const hex = options.toString(16).padStart(2, "0");
          return `${start} (Mid: ${mid}, Topic: ${topic}, QoS: ${qos}, Options: 0x${hex})`;
        })
        .join("\n");
    }
    case "unsubscribe":
      return (shown.unsubscriptions ?? []).map((topic) => `${start} (Mid: ${mid}, Topic: ${topic})`).join("\n");
    case "disconnect":
      return direction === "sending" ? start : `${start} (${code})`;
    default:
      return start;
  }
}
