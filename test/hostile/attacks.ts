import { connect as open, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { SeededRandom } from "./random.ts";
import { ack, connect, PINGREQ, packet, publish5, subscribe5, text, uint16, unsubscribe5 } from "./wire.ts";

/** One attacker: where to, what chance it has, and since when it is over. */
export interface Attacker {
  port: number;
  random: SeededRandom;
  /** No two attackers, and no two runs of one attack, have the same. */
  name: string;
  over(): boolean;
}

/** Each takes some tenths of a second, and leaves no connection open. */
export type Attack = (attacker: Attacker) => Promise<void>;

/** What arrived is thrown away, and an error is what an attacker expects. */
async function dial(port: number, reads = true): Promise<Socket> {
  const socket = open({ port, host: "127.0.0.1" });
  socket.on("error", () => {});
  await new Promise<void>((resolve) => {
    socket.once("connect", resolve);
    socket.once("close", resolve);
  });
  if (reads) socket.resume();
  else socket.pause();
  return socket;
}

/** Sends until the broker closes, or the socket has taken it all. False: closed. */
async function send(socket: Socket, bytes: Uint8Array): Promise<boolean> {
  if (socket.destroyed || socket.readableEnded) return false;
  if (socket.write(bytes)) return true;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      for (const event of ["drain", "close", "end"]) socket.off(event, done);
      resolve();
    };
    const timer = setTimeout(done, 200);
    for (const event of ["drain", "close", "end"]) socket.once(event, done);
  });
  return !socket.destroyed && socket.writableLength === 0;
}

/** One connection with these bytes, closed by the broker or after a moment. */
async function oneShot({ port, random }: Attacker, ...parts: readonly Uint8Array[]): Promise<void> {
  const socket = await dial(port);
  await send(socket, Buffer.concat(parts));
  if (!socket.destroyed && !socket.readableEnded) {
    await Promise.race([new Promise((resolve) => socket.once("end", resolve)), sleep(2 + random.below(10))]);
  }
  if (random.below(2) === 0) socket.resetAndDestroy();
  else socket.destroy();
}

async function repeat(attacker: Attacker, times: number, body: (index: number) => Promise<void>): Promise<void> {
  for (let index = 0; index < times && !attacker.over(); index++) await body(index);
}

/** A conversation in which everything is right. */
function validStream({ random, name }: Attacker): Buffer {
  const topic = `storm/${name}/${random.below(50)}`;
  const id = 1 + random.below(100);
  return Buffer.concat([
    connect(5, `${name}-${random.below(50)}`, 0x02, Buffer.from([0x11, 0, 0, 0, random.below(3)])),
    subscribe5(1, [`storm/${name}/#`, `storm/+/${random.below(50)}`, "$share/g/storm/#"], random.below(3)),
    publish5(topic, random.bytes(random.below(200)), 0),
    publish5(topic, random.bytes(random.below(200)), 1, id),
    publish5(topic, random.bytes(random.below(200)), 2, id + 1, Buffer.from([0x02, 0, 0, 0, 9, 0x01, 0])),
    ack(0x62, id + 1),
    ack(0x40, 1),
    ack(0x50, 2),
    ack(0x70, 2),
    PINGREQ,
    unsubscribe5(3, [`storm/${name}/#`]),
    packet(0xe0, Buffer.from([0, 0])),
  ]);
}

const BAD_UTF8 = [[0xc0, 0x80], [0xed, 0xa0, 0x80], [0xff], [0xf4, 0x90, 0x80, 0x80], [0x61, 0], [0xe2, 0x82]].map(
  (bytes) => Buffer.from(bytes),
);

export const ATTACKS: Readonly<Record<string, Attack>> = {
  garbage: (attacker) =>
    repeat(attacker, 20, () => oneShot(attacker, attacker.random.bytes(1 + attacker.random.below(2000)))),

  garbageOnceConnected: (attacker) =>
    repeat(attacker, 20, () => oneShot(attacker, connect(5, attacker.name), attacker.random.bytes(2000))),

  truncated: (attacker) =>
    repeat(attacker, 20, () => {
      const bytes = validStream(attacker);
      return oneShot(attacker, bytes.subarray(0, attacker.random.below(bytes.length)));
    }),

  mutated: (attacker) =>
    repeat(attacker, 40, () => {
      const { random } = attacker;
      let bytes = validStream(attacker);
      for (let edits = 1 + random.below(6); edits > 0; edits--) {
        const at = random.below(bytes.length);
        const kind = random.below(3);
        if (kind === 0) bytes[at] = random.below(256);
        else if (kind === 1) bytes = Buffer.concat([bytes.subarray(0, at), random.bytes(3), bytes.subarray(at)]);
        else bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(8))]);
      }
      return oneShot(attacker, bytes);
    }),

  overlongRemainingLength: (attacker) =>
    repeat(attacker, 20, () => {
      const type = attacker.random.below(16) << 4;
      return oneShot(attacker, connect(5, attacker.name), Buffer.from([type, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]));
    }),

  wrongFlags: (attacker) =>
    repeat(attacker, 30, () => {
      const { random } = attacker;
      const first = random.below(256);
      return oneShot(
        attacker,
        connect(5, attacker.name),
        packet(first, uint16(random.below(5)), random.bytes(random.below(9))),
      );
    }),

  badUtf8: (attacker) =>
    repeat(attacker, 20, () => {
      const bad = attacker.random.pick(BAD_UTF8);
      const wrong = [
        connect(5, bad),
        Buffer.concat([connect(5, attacker.name), publish5(bad, bad)]),
        Buffer.concat([connect(5, attacker.name), subscribe5(1, [bad])]),
        Buffer.concat([connect(5, attacker.name), publish5("storm/t", bad, 0, 0, Buffer.from([0x01, 1]))]),
        Buffer.concat([
          connect(5, attacker.name),
          publish5("storm/t", bad, 0, 0, Buffer.concat([Buffer.from([0x03]), text(bad)])),
        ]),
      ];
      return oneShot(attacker, attacker.random.pick(wrong));
    }),

  beforeConnect: (attacker) =>
    repeat(attacker, 30, () =>
      oneShot(attacker, packet(((2 + attacker.random.below(14)) << 4) | 2, uint16(1), text("a"))),
    ),

  /** The beginning of a valid stream, a byte at a time. */
  dribble: async (attacker) => {
    const sockets = await Promise.all(Array.from({ length: 10 }, () => dial(attacker.port)));
    const bytes = validStream(attacker);
    await repeat(attacker, 60, async (index) => {
      for (const socket of sockets) if (!socket.destroyed) socket.write(bytes.subarray(index, index + 1));
      await sleep(3);
    });
    for (const socket of sockets) socket.destroy();
  },

  /** Connections that say nothing. */
  halfOpen: async (attacker) => {
    const sockets = await Promise.all(Array.from({ length: 60 }, () => dial(attacker.port)));
    await sleep(100);
    for (const socket of sockets) socket.destroy();
  },

  /** The largest packet, of which nothing follows; and one that is just allowed. */
  hugeClaims: async (attacker) => {
    const sockets = await Promise.all(Array.from({ length: 10 }, () => dial(attacker.port)));
    for (const [index, socket] of sockets.entries()) {
      const claimed = index % 2 === 0 ? [0x30, 0xff, 0xff, 0xff, 0x7f] : [0x30, 0xf0, 0xff, 0x7f];
      await send(
        socket,
        Buffer.concat([connect(5, `${attacker.name}-${index}`), Buffer.from(claimed), text("storm/huge")]),
      );
    }
    await sleep(100);
    for (const socket of sockets) socket.destroy();
  },

  /** Takes part in everything and reads nothing of it. */
  neverReads: async (attacker) => {
    const socket = await dial(attacker.port, false);
    await send(socket, Buffer.concat([connect(5, attacker.name), subscribe5(1, ["#"], attacker.random.below(3))]));
    const message = publish5("storm/unread", attacker.random.bytes(10_000));
    await repeat(attacker, 100, async () => {
      await send(socket, Buffer.concat([message, message, message, message]));
    });
    await sleep(50);
    socket.destroy();
  },

  /** As fast as it can, until the broker reads no more. */
  pingFlood: async (attacker) => {
    const socket = await dial(attacker.port, false);
    await send(socket, connect(5, attacker.name));
    const flood = Buffer.alloc(64 * 1024, PINGREQ);
    await repeat(attacker, 60, async () => {
      await send(socket, flood);
    });
    socket.destroy();
  },

  takeover: async (attacker) => {
    let before: Socket | undefined;
    await repeat(attacker, 60, async () => {
      const socket = await dial(attacker.port);
      const lasting = connect(5, "storm-taken-over", attacker.random.below(2) * 2, Buffer.from([0x11, 0, 0, 0, 2]));
      await send(socket, Buffer.concat([lasting, subscribe5(1, ["storm/#"])]));
      before?.destroy();
      before = socket;
    });
    before?.destroy();
  },

  subscriptions: async (attacker) => {
    const socket = await dial(attacker.port);
    await send(socket, connect(5, attacker.name));
    const { random } = attacker;
    await repeat(attacker, 20, async (round) => {
      const filters = Array.from({ length: 200 }, (_, index) => {
        const levels = Array.from({ length: 1 + random.below(12) }, () => random.pick(["+", "a", "b", String(index)]));
        return `storm/${round}/${levels.join("/")}${random.below(3) === 0 ? "/#" : ""}`;
      });
      await send(socket, subscribe5(1 + round, filters));
      await send(socket, publish5(`storm/${round}/a/b/a/b/a/b`, Buffer.from("x")));
      await send(socket, unsubscribe5(1000 + round, filters));
    });
    socket.destroy();
  },

  topicAliases: (attacker) =>
    repeat(attacker, 20, () => {
      const { random } = attacker;
      const alias = (value: number): Buffer => Buffer.from([0x23, value >> 8, value & 0xff]);
      const good = Array.from({ length: 200 }, (_, index) =>
        publish5(
          random.below(2) === 0 && index > 64 ? "" : `storm/alias/${index}`,
          Buffer.alloc(10),
          0,
          0,
          alias(1 + (index % 64)),
        ),
      );
      const bad = publish5(random.pick(["", "storm/a"]), Buffer.alloc(0), 0, 0, alias(random.pick([0, 65, 65_535])));
      return oneShot(attacker, connect(5, attacker.name), ...good, bad);
    }),

  /** Identifiers that are never released, used twice, and released without having been used. */
  qos2Identifiers: async (attacker) => {
    const socket = await dial(attacker.port);
    await send(socket, connect(5, attacker.name));
    await repeat(attacker, 10, async (round) => {
      const parts: Buffer[] = [];
      for (let index = 0; index < 120; index++) {
        parts.push(publish5("storm/qos2", Buffer.alloc(20), 2, 1 + round * 120 + index));
        parts.push(publish5("storm/qos2", Buffer.alloc(20), 2, 1 + attacker.random.below(120)));
        parts.push(ack(0x62, 1 + attacker.random.below(65_535)));
        parts.push(ack(attacker.random.pick([0x40, 0x50, 0x70]), 1 + attacker.random.below(65_535)));
      }
      await send(socket, Buffer.concat(parts));
    });
    socket.destroy();
  },

  /** QoS 1 at full speed to itself, acknowledging nothing. */
  unacknowledged: async (attacker) => {
    const socket = await dial(attacker.port);
    await send(socket, Buffer.concat([connect(5, attacker.name), subscribe5(1, ["storm/unacknowledged"])]));
    const parts = Buffer.concat(
      Array.from({ length: 200 }, (_, index) => publish5("storm/unacknowledged", Buffer.alloc(300), 1, 1 + index)),
    );
    await repeat(attacker, 20, async () => {
      await send(socket, parts);
    });
    socket.destroy();
  },
};
