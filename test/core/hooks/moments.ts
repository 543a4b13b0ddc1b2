import type { Hook, Moment } from "../../../src/core/hooks.ts";
import type { Stage, StageOptions } from "../stage.ts";

/** How one moment comes about. */
export interface Scene {
  options?: StageOptions;
  /** Not for the moments of the start, which have come before. */
  play?: (stage: Stage) => void;
  /** What a hook that throws here does to the hooks after it. */
  thrown: "others hear" | "others are not asked";
}

const method = { authenticationMethod: "M", authenticationData: Buffer.from("1") };

const connects = (stage: Stage): void => void stage.dial({ clientId: "a" });

const leavesMessage = (stage: Stage): void => void stage.connect("a").publish("t", "x", { retain: true });

const sharesMessage = (stage: Stage): void => {
  stage.connect("s").subscribed("$share/g/t");
  stage.connect("a").publish("t", "x");
};

const sendsQos1 = (stage: Stage): void => {
  stage.connect("s", { acknowledges: true }).subscribed("t", 1);
  stage.connect("a").publish("t", "x", { qos: 1 });
};

const leavesWill = (stage: Stage): void =>
  stage.connect("a", { will: { topic: "w", payload: Buffer.from("gone") } }).hangUp();

const unsubscribes = (stage: Stage): void => stage.connect("s").subscribed("t").unsubscribe("t");

/** Each moment that the broker itself brings about; `onStarted` and `onStopped` are the host's. */
export const SCENES: Record<Exclude<Moment, "onStarted" | "onStopped">, Scene> = {
  onConnect: { play: connects, thrown: "others are not asked" },
  onConnectAuthenticate: { play: connects, thrown: "others are not asked" },
  onACLCheck: { play: (stage) => stage.connect("a").publish("t", "x"), thrown: "others are not asked" },
  onAuthPacket: {
    play: (stage) => void stage.dial({ clientId: "a", properties: method }),
    thrown: "others are not asked",
  },
  onSessionEstablish: { play: connects, thrown: "others hear" },
  onSessionEstablished: { play: connects, thrown: "others hear" },
  onDisconnect: { play: (stage) => stage.connect("a").hangUp(), thrown: "others hear" },
  onPacketRead: { play: connects, thrown: "others are not asked" },
  onPacketEncode: { play: connects, thrown: "others are not asked" },
  onPacketSent: { play: connects, thrown: "others hear" },
  onPacketProcessed: { play: connects, thrown: "others hear" },
  onSubscribe: { play: (stage) => stage.connect("s").subscribe("t"), thrown: "others are not asked" },
  onSubscribed: { play: (stage) => stage.connect("s").subscribe("t"), thrown: "others hear" },
  onSelectSubscribers: { play: sharesMessage, thrown: "others are not asked" },
  onUnsubscribe: { play: unsubscribes, thrown: "others are not asked" },
  onUnsubscribed: { play: unsubscribes, thrown: "others hear" },
  onPublish: { play: (stage) => stage.connect("a").publish("t", "x"), thrown: "others are not asked" },
  onPublished: { play: (stage) => stage.connect("a").publish("t", "x"), thrown: "others hear" },
  onPublishDropped: {
    play: (stage) => {
      stage.connect("s", { properties: { maximumPacketSize: 30 } }).subscribed("t");
      stage.connect("a").publish("t", "more than thirty bytes with its topic");
    },
    thrown: "others hear",
  },
  onRetainMessage: { play: leavesMessage, thrown: "others hear" },
  onRetainPublished: {
    play: (stage) => {
      leavesMessage(stage);
      stage.connect("s").subscribe("t");
    },
    thrown: "others hear",
  },
  onQosPublish: { play: sendsQos1, thrown: "others hear" },
  onQosComplete: { play: sendsQos1, thrown: "others hear" },
  onQosDropped: {
    play: (stage) => {
      const subscriber = stage.connect("s").subscribed("t", 1);
      stage.connect("a").publish("t", "x", { qos: 1 });
      subscriber.acknowledge("puback", 1, 0x83);
    },
    thrown: "others hear",
  },
  onPacketIDExhausted: {
    options: { limits: { inflight: 65_535 } },
    play: (stage) => {
      stage.connect("s").subscribed("t", 1);
      for (let count = 0; count <= 65_535; count++) stage.broker.inlineClient.publish("t", "x", { qos: 1 });
    },
    thrown: "others hear",
  },
  onWill: { play: leavesWill, thrown: "others are not asked" },
  onWillSent: { play: leavesWill, thrown: "others hear" },
  onClientExpired: {
    play: (stage) => {
      stage.resume("a", { properties: { sessionExpiryInterval: 5 } }).hangUp();
      stage.advance(5000);
    },
    thrown: "others hear",
  },
  onRetainedExpired: {
    play: (stage) => {
      stage.connect("a").publish("t", "x", { retain: true, properties: { messageExpiryInterval: 5 } });
      stage.advance(60_000);
    },
    thrown: "others hear",
  },
  onSysInfoTick: { options: { mqtt: { sys: { enabled: true } } }, thrown: "others hear" },
  storedClients: { thrown: "others hear" },
  storedSubscriptions: { thrown: "others hear" },
  storedInflightMessages: { thrown: "others hear" },
  storedRetainedMessages: { thrown: "others hear" },
  storedSysInfo: { thrown: "others hear" },
};

/** A hook for one moment, chosen at run time. */
export function hookAt(moment: Moment, name: string, call: (...args: unknown[]) => unknown): Hook {
  return { name, [moment]: call };
}
