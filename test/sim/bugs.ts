import { PacketType } from "../../src/codec/constants.ts";
import { Archive } from "../../src/core/archive.ts";
import { Batch, BatchOp, BatchReader } from "../../src/core/batch.ts";
import { Connection } from "../../src/core/connection.ts";
import { Delivery } from "../../src/core/delivery.ts";
import { sendAck, sendPacket } from "../../src/core/send.ts";
import { type Store, type StoreEvents, Table } from "../../src/core/store.ts";
import { type RunOptions, type Surroundings, simulate } from "./run.ts";

/** A plausible mistake. The oracle is as good as what it finds of these. */
export interface Bug {
  name: string;
  /** Puts it in, and returns what takes it out again. */
  apply: () => () => void;
  options?: RunOptions;
}

export interface Found {
  seed: number;
  violation: string;
}

/** The first of `count` seeds that finds the bug; undefined when none does. */
export async function find(bug: Bug, firstSeed: number, count: number): Promise<Found | undefined> {
  const undo = bug.apply();
  try {
    for (let seed = firstSeed; seed < firstSeed + count; seed++) {
      const { violation } = await simulate(seed, { isHarsh: true, ...bug.options });
      if (violation !== undefined) return { seed, violation };
    }
    return undefined;
  } finally {
    undo();
  }
}

type Method = (this: never, ...args: never[]) => unknown;

/** Replaces a method of all objects of a class. */
function replace<M extends Method>(prototype: object, name: string, make: (original: M) => M): () => void {
  const methods = prototype as Record<string, M>;
  const original = methods[name];
  if (original === undefined)
    throw new Error(`There is no method ${name} any more: this bug has to be put in elsewhere`);
  methods[name] = make(original);
  return () => {
    methods[name] = original;
  };
}

/** These acknowledgements leave at once, whatever is on disk. */
function ackTooEarly(name: string, type: number): Bug {
  type Send = Connection["sendAckAfter"];
  const make = (original: Send): Send =>
    function (this: Connection, sequence, ackType, packetIdentifier, code) {
      if (ackType === type) sendAck(this, ackType, packetIdentifier, code);
      else original.call(this, sequence, ackType, packetIdentifier, code);
    };
  return { name: `${name} before it is durable`, apply: () => replace(Connection.prototype, "sendAckAfter", make) };
}

function packetTooEarly(name: string, type: number): Bug {
  type Send = Connection["sendPacketAfter"];
  const make = (original: Send): Send =>
    function (this: Connection, sequence, packet, sent) {
      if (packet.type !== type) {
        original.call(this, sequence, packet, sent);
        return;
      }
      sendPacket(this, packet);
      sent?.();
    };
  return { name: `${name} before it is durable`, apply: () => replace(Connection.prototype, "sendPacketAfter", make) };
}

const connackTooEarly: Bug = {
  name: "CONNACK before it is durable",
  apply: () =>
    replace<(this: Archive, session: never) => unknown>(
      Archive.prototype,
      "sessionConnects",
      (original) =>
        function (session) {
          original.call(this, session);
          return undefined;
        },
    ),
};

/** It takes part in everything else as before, but for the waiting. */
const publishTooEarly: Bug = {
  name: "outgoing QoS 2 PUBLISH before it is durable",
  apply: () => {
    const undoWait = replace<(this: Delivery, batch: number) => boolean>(
      Delivery.prototype,
      "awaitDurable",
      () => () => false,
    );
    const undoEnqueue = replace<(this: Delivery, outgoing: never) => void>(
      Delivery.prototype,
      "enqueue",
      (original) =>
        function (outgoing) {
          original.call(this, outgoing);
          this.pump();
        },
    );
    return () => {
      undoEnqueue();
      undoWait();
    };
  },
};

/** A store with a mistake, which is made of each batch. */
abstract class WrongStore implements Store {
  readonly kind = "wrong";
  protected readonly store: Store;
  protected readonly surroundings: Surroundings;
  protected events!: StoreEvents;

  constructor(store: Store, surroundings: Surroundings) {
    this.store = store;
    this.surroundings = surroundings;
  }

  abstract commit(batch: Uint8Array): void;

  open(events: StoreEvents): Promise<void> {
    this.events = events;
    return this.store.open(this.listener(events));
  }

  read(table: Table, first: number, last: number, bytesMax: number, valueBytesMax?: number): Promise<Uint8Array> {
    return this.store.read(table, first, last, bytesMax, valueBytesMax);
  }

  readKeys(table: Table, keys: readonly number[]): Promise<Uint8Array> {
    return this.store.readKeys(table, keys);
  }

  figures() {
    return this.store.figures();
  }

  close(): Promise<void> {
    return this.store.close();
  }

  protected listener(events: StoreEvents): StoreEvents {
    return events;
  }
}

/** Says "durable" before anything was written. */
class HastyStore extends WrongStore {
  private count = 0;

  override commit(batch: Uint8Array): void {
    const count = ++this.count;
    this.store.commit(batch);
    this.surroundings.timeline.after(0, () => {
      this.events.onDurable(count);
      this.surroundings.onTold();
    });
  }

  protected override listener(events: StoreEvents): StoreEvents {
    return {
      onDurable: () => undefined,
      onTrouble: () => undefined,
      onRecovered: () => undefined,
      onLost: (loss) => events.onLost(loss),
      onFailed: (error) => events.onFailed(error),
    };
  }
}

/** Forgets every 20th batch. */
class ForgetfulStore extends WrongStore {
  private count = 0;

  override commit(batch: Uint8Array): void {
    this.store.commit(++this.count % 20 === 0 ? new Uint8Array(0) : batch);
  }
}

/** Now and then writes a batch after the one that follows it. */
class ConfusedStore extends WrongStore {
  private held: Uint8Array | undefined;
  private count = 0;

  override commit(batch: Uint8Array): void {
    const { held } = this;
    this.held = undefined;
    if (held === undefined && ++this.count % 3 === 0) {
      this.held = batch;
      this.store.commit(new Uint8Array(0));
      return;
    }
    this.store.commit(held === undefined ? batch : joined(batch, held));
  }
}

/** Leaves out changes of one kind. */
class PartialStore extends WrongStore {
  private readonly leavesOut: (reader: BatchReader) => boolean;

  constructor(store: Store, surroundings: Surroundings, leavesOut: (reader: BatchReader) => boolean) {
    super(store, surroundings);
    this.leavesOut = leavesOut;
  }

  override commit(batch: Uint8Array): void {
    for (const reader = new BatchReader(batch); reader.next(); ) {
      if (this.leavesOut(reader)) batch[reader.nameStart - 16] = BatchOp.Void;
    }
    this.store.commit(batch);
  }
}

function inStore(name: string, make: new (store: Store, surroundings: Surroundings) => Store): Bug {
  return { name, apply: () => () => undefined, options: { wrapStore: (store, around) => new make(store, around) } };
}

function leftOut(name: string, leavesOut: (reader: BatchReader) => boolean): Bug {
  const wrapStore = (store: Store, around: Surroundings) => new PartialStore(store, around, leavesOut);
  return { name, apply: () => () => undefined, options: { wrapStore } };
}

const isDelete = (reader: BatchReader) => reader.op !== BatchOp.Put;

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = new Batch(first.length + second.length);
  both.bytes.set(first);
  both.bytes.set(second, first.length);
  return both.bytes.subarray(0, first.length + second.length);
}

/** What leaves before the disk has what it promises, one bug for each packet that has to wait. */
export const EARLY_BUGS: readonly Bug[] = [
  ackTooEarly("PUBACK", PacketType.PUBACK),
  ackTooEarly("PUBREC", PacketType.PUBREC),
  ackTooEarly("PUBREL", PacketType.PUBREL),
  ackTooEarly("PUBCOMP", PacketType.PUBCOMP),
  packetTooEarly("SUBACK", PacketType.SUBACK),
  packetTooEarly("UNSUBACK", PacketType.UNSUBACK),
  connackTooEarly,
  publishTooEarly,
];

export const OTHER_BUGS: readonly Bug[] = [
  inStore("the store says durable before it has written", HastyStore),
  inStore("the store forgets a batch", ForgetfulStore),
  inStore("the store swaps batches", ConfusedStore),
  leftOut("incoming identifiers are not kept", ({ table, op }) => table === Table.Incoming && op === BatchOp.Put),
  leftOut("incoming identifiers are not removed", (reader) => reader.table === Table.Incoming && isDelete(reader)),
  leftOut("retained messages are not removed", (reader) => reader.table === Table.Retained && isDelete(reader)),
  leftOut("subscriptions are not removed", (reader) => reader.table === Table.Subscription && isDelete(reader)),
  leftOut("queued messages are not removed", (reader) => reader.table === Table.Queue && isDelete(reader)),
  leftOut("sessions are not removed", (reader) => reader.table === Table.Session && isDelete(reader)),
  {
    name: "expiry is lost over a restart",
    apply: () =>
      replace<(this: Archive, ageMs: number) => number>(
        Archive.prototype,
        "fromAge",
        () => () => Number.POSITIVE_INFINITY,
      ),
  },
  {
    name: "nothing is sent again after a reconnection",
    apply: () => replace<(this: Delivery) => void>(Delivery.prototype, "resume", () => () => undefined),
  },
];
