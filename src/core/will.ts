import { Publish, type Will } from "../codec/packet.ts";
import { ReasonCode } from "../codec/reason.ts";
import type { Broker } from "./broker.ts";
import { Refusal } from "./hooks.ts";
import { messageOf } from "./message.ts";
import { permits } from "./permissions.ts";
import { packetOf } from "./publish.ts";
import type { Session } from "./session.ts";

/** Publishes a will in the name of its session, 5.0 [MQTT-3.1.2-8] [-14] [-15]. Rights are asked now, not at CONNECT. */
export function publishWill(broker: Broker, session: Session, given: Will): void {
  const { client } = session;
  let will = given;
  if (broker.hooks.present.onWill) {
    const verdict = broker.hooks.pass("onWill", will, (hook, value) => hook.onWill!(client, value));
    if (verdict instanceof Refusal || typeof verdict === "symbol") return;
    will = verdict;
  }
  const { topicName, payload, qos, retain } = will;
  const isSys = topicName === "$SYS" || topicName.startsWith("$SYS/");
  const verdict = !broker.permissions.asked || broker.permissions.verdict(client, topicName, true);
  if (isSys || !permits(verdict, qos, retain)) {
    broker.counters.dropped("notAuthorized");
    broker.permissions.logDenied(client, "publish", topicName, ReasonCode.NotAuthorized);
    return;
  }
  const { willDelayInterval: _, ...properties } = will.properties;
  const publish = new Publish(topicName, qos, retain, false, 0, properties, payload, 0, payload.length);
  const message = messageOf(publish, broker.nowMs, broker.options.messageExpiryMax);
  if (message.retain) broker.retain(client, message);
  broker.send(message, broker.router.route(topicName), session.key);
  broker.log.info("Will published", { ...client.logFields(), topic: topicName });
  if (broker.hooks.present.onWillSent) broker.hooks.notify("onWillSent", client, packetOf(message));
}
