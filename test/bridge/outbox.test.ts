/** Which message a broker ends its connections at. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Outbox, Suspects } from "../../src/bridge/outbox.ts";
import { Publish } from "../../src/codec/packet.ts";

const messageOf = (packetIdentifier: number, qos: 0 | 1 | 2 = 1): Publish =>
  new Publish("t", qos, false, false, packetIdentifier, {}, Buffer.from("x"), 0, 1);

/** Connections one after the other, and what became of the messages. */
class Line {
  readonly suspects = new Suspects();
  isCrowded = false;
  private readonly context: TestContext;
  private outbox: Outbox | undefined;
  private readonly seen: string[] = [];

  constructor(context: TestContext) {
    this.context = context;
    context.mock.timers.enable({ apis: ["setTimeout"] });
  }

  /** Everything that is not acknowledged comes again. */
  connect(...packetIdentifiers: number[]): this {
    this.isCrowded = false;
    this.outbox = new Outbox(this.suspects, {
      send: ({ packetIdentifier }) => void this.seen.push(`${packetIdentifier}`),
      drop: ({ packetIdentifier }) => void this.seen.push(`-${packetIdentifier}`),
      crowd: (isCrowded) => {
        this.isCrowded = isCrowded;
      },
    });
    for (const packetIdentifier of packetIdentifiers) this.outbox.add(messageOf(packetIdentifier));
    return this;
  }

  add(message: Publish): this {
    this.outbox!.add(message);
    return this;
  }

  acknowledge(...packetIdentifiers: number[]): this {
    for (const packetIdentifier of packetIdentifiers) this.outbox!.acknowledged(packetIdentifier);
    return this;
  }

  cut(): this {
    this.outbox!.cut();
    this.outbox!.stop();
    return this;
  }

  wait(ms: number): this {
    this.context.mock.timers.tick(ms);
    return this;
  }

  /** Sent, or dropped where there is a minus, since it was asked last. */
  get news(): string {
    return this.seen.splice(0).join(" ");
  }
}

test("what a sound connection ends at, alone, is dropped; all others arrive in order", (context) => {
  const line = new Line(context);
  assert.equal(line.connect(1, 2, 3).news, "1 2 3");
  // Alone.
  assert.equal(line.cut().connect(1, 2, 3).news, "1");
  assert.equal(line.isCrowded, true);
  // Held back, until the others have shown that it is not the connection's fault.
  assert.equal(line.cut().connect(1, 2, 3).news, "2");
  assert.equal(line.acknowledge(2).news, "1");
  assert.equal(line.cut().connect(1, 3, 4).news, "-1 3 4");
  assert.equal(line.isCrowded, false);
});

test("two of them are found one after the other", (context) => {
  const line = new Line(context);
  line.connect(1, 2, 3).cut().connect(1, 2, 3).cut();
  assert.equal(line.connect(1, 2, 3).news.endsWith("2"), true);
  line.cut();
  assert.equal(line.connect(1, 2, 3).news, "3");
  assert.equal(line.acknowledge(3).news, "1");
  assert.equal(line.cut().connect(2, 4).acknowledge(4).news, "4 2");
  assert.equal(line.cut().connect(2, 4).news, "-2 4");
});

test("a broker or a network that ends all connections costs no message", (context) => {
  const line = new Line(context);
  const all = Array.from({ length: 30 }, (_, index) => index + 1);
  for (let times = 0; times < 200; times++) line.connect(...all).cut();
  assert.doesNotMatch(line.news, /-/);
  line.connect(...all);
  for (const packetIdentifier of [...all, ...all]) line.acknowledge(packetIdentifier);
  assert.deepEqual(
    [
      line.news
        .split(" ")
        .map(Number)
        .sort((a, b) => a - b),
      line.isCrowded,
      line.suspects.held.size,
    ],
    [all, false, 0],
  );
});

test("after one bad connection all goes on as before with the first acknowledgement", (context) => {
  const line = new Line(context);
  line.connect(1, 2).cut();
  assert.equal(line.connect(1, 2).add(messageOf(0, 0)).add(messageOf(3, 2)).news, "1 2 1");
  assert.equal(line.acknowledge(1).news, "2 0 3");
  // Not before anything was acknowledged: who is to blame is not known.
  line.cut();
  assert.equal(line.connect(2, 3).news, "2 3");
});

test("a suspect that is alone is tried when the connection has held for a while, after what is under way", (context) => {
  const line = new Line(context);
  line.connect(1).cut().connect(1).cut();
  assert.equal(line.connect(1).wait(9_999).news, "1 1");
  assert.equal(line.add(messageOf(2)).wait(1).add(messageOf(3)).news, "2");
  assert.equal(line.acknowledge(2).news, "1");
  assert.equal(line.add(messageOf(4)).news, "");
  assert.equal(line.acknowledge(1).news, "3 4");
  line.cut();
  assert.equal(line.connect(3, 4).news, "3 4");
});
