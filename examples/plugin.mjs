// A plugin: hooks for the broker you run as a program, without one of your own. In mqtt-broker.json5, where the path
// starts from that file:
//
//   { plugins: ["plugin.mjs"] }
//
// or: mqtt-broker --plugin plugin.mjs
//
// `hook` is an object with any of the moments of a Hook, or a function, also an async one, that makes it. The function is
// given what hooks answer with, so that a plugin needs no package: IGNORE, refuse and ReasonCode.
//
// This one stamps every message below sensor/ with the time of its arrival, which MQTT 5.0 clients get to see. Those
// without a payload it keeps from everybody, and very large ones it refuses.
const PAYLOAD_BYTES_MAX = 1024;

export function hook({ IGNORE, refuse, ReasonCode }) {
  return {
    name: "arrival",
    onPublish(_client, packet) {
      if (!packet.topicName.startsWith("sensor/")) return undefined;
      if (packet.payloadLength === 0) return IGNORE;
      if (packet.payloadLength > PAYLOAD_BYTES_MAX) return refuse(ReasonCode.QuotaExceeded, "sensors are brief");
      const before = packet.properties.userProperties ?? [];
      const userProperties = [...before, ["arrived", new Date().toISOString()]];
      packet.properties = { ...packet.properties, userProperties };
      return packet;
    },
  };
}
