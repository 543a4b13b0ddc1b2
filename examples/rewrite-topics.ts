// A hook that gives topics new names: old sensors publish to, and old displays subscribe to, `home/…`, while everybody
// else uses `site/berlin/…`. Neither side needs to know.
import { createBroker, type Hook, TcpListener } from "mqtt-broker";

const OLD = "home/";
const NEW = "site/berlin/";

const rename = (topic: string): string => (topic.startsWith(OLD) ? NEW + topic.slice(OLD.length) : topic);

/** Every moment of Hook is optional. What a hook returns goes on in place of what it was given. */
const rewriteTopics: Hook = {
  name: "rewrite-topics",
  onPublish(_client, packet) {
    packet.topicName = rename(packet.topicName);
    return packet;
  },
  onSubscribe(_client, packet) {
    const entries = packet.entries.map((entry) => ({ ...entry, topicFilter: rename(entry.topicFilter) }));
    return { ...packet, entries };
  },
  onUnsubscribe(_client, packet) {
    return { ...packet, topicFilters: packet.topicFilters.map(rename) };
  },
};

const broker = createBroker({ hooks: [rewriteTopics] });
const port = Number(process.env.PORT ?? 1883);
await broker.addListener(new TcpListener({ name: "main", host: "::", port, turn: broker.turn }));
await broker.start();
console.log(`Listening on ${broker.urls.join(", ")}`);

process.once("SIGTERM", () => broker.stop());
