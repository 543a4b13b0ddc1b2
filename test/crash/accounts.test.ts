import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { generate, type IPublishPacket, type Packet, parser } from "mqtt-packet";
import { SeededRandom } from "../hostile/random.ts";
import { crash } from "./harness.ts";
import { payloadOf } from "./payload.ts";
import { Publisher } from "./publisher.ts";
import { Subscriber } from "./subscriber.ts";
import { type Promised, Verdict } from "./verdict.ts";

// The crash test itself: its clients against a server that does wrong on purpose, all of it against a broker that forgets.

const TOPIC = "two/p";

test("a QoS 2 message that comes again before PUBREL is the same, afterwards it is another", async (context) => {
  const { verdict, peer } = await subscriber(context);
  await peer.send(message(1, 7), message(1, 7), release(7), message(2, 7), release(7));
  assert.deepEqual(verdict.tally, {});
  assert.equal(verdict.counts.delivered, 2);
  await peer.send(message(2, 8));
  assert.deepEqual(verdict.tally, { duplicate: 1 });
});

test("a gap is a loss at the end, and disorder when it is filled", async (context) => {
  const { verdict, peer, client } = await subscriber(context);
  await peer.send(message(1, 1), message(4, 2), message(3, 3));
  assert.deepEqual(verdict.tally, { order: 1 });
  client.judge([{ topic: TOPIC, qos: 2, sent: 6 }]);
  assert.deepEqual(verdict.tally, { order: 1, lost: 1 });
  assert.match(verdict.violations.at(-1)!.text, /lacks 3 of two\/p: 2,5,6$/);
});

test("a payload that nobody published is seen", async (context) => {
  const { verdict, peer } = await subscriber(context);
  await peer.send({ ...message(1, 1), payload: `${payloadOf(TOPIC, 1)}x` });
  await peer.send({ ...message(1, 2), payload: payloadOf("two/another", 1) });
  assert.deepEqual(verdict.tally, { altered: 2 });
});

test("a session that is gone is seen, and one that nobody made", async (context) => {
  const verdict = new Verdict();
  const peer = await Server.start(context);
  const client = new Publisher("p", 5, new SeededRandom(1), verdict);
  peer.sessionPresent = true;
  await client.connect(peer.port);
  assert.deepEqual(verdict.tally, { session: 1 });
  peer.sessionPresent = false;
  await client.connect(peer.port);
  assert.deepEqual(verdict.tally, { session: 2 });
  client.peer.drop();
});

test("what is not acknowledged is sent again with DUP, of what is received only PUBREL", async (context) => {
  const peer = await Server.start(context);
  const client = new Publisher("p", 5, new SeededRandom(1), new Verdict());
  await client.connect(peer.port);
  while (client.incomplete < 3) client.work(3);
  await peer.settle(client);
  const first = peer.received.splice(0).flatMap((packet) => (packet.cmd === "publish" ? [packet] : []));
  assert.deepEqual(
    first.map(({ messageId, dup }) => [messageId, dup]),
    [
      [1, false],
      [2, false],
      [3, false],
    ],
  );
  const two = first.find(({ qos }) => qos === 2)!;
  await peer.send({ cmd: "pubrec", messageId: two.messageId! });
  await peer.settle(client);
  peer.received.splice(0);
  peer.sessionPresent = true;
  client.peer.drop();
  await client.connect(peer.port);
  await peer.settle(client);
  const again = peer.received.map((packet) => [packet.cmd, packet.messageId, packet.cmd === "publish" && packet.dup]);
  assert.deepEqual(
    again,
    first.map(({ messageId }) =>
      messageId === two.messageId ? ["pubrel", messageId, false] : ["publish", messageId, true],
    ),
  );
  client.peer.drop();
});

test("the checks see a broker that keeps nothing", async (context) => {
  const { verdict } = await crash(context, { seed: 1, rounds: 1, words: ["--store", "memory"] });
  const kinds: Promised[] = ["lost", "stale", "subscription", "session"];
  for (const kind of kinds) assert.ok(verdict.tally[kind] !== undefined, `no ${kind} was seen:\n${verdict.describe()}`);
});

async function subscriber(context: TestContext): Promise<{ verdict: Verdict; peer: Server; client: Subscriber }> {
  const verdict = new Verdict();
  const peer = await Server.start(context);
  const client = new Subscriber({ name: "s", version: 5, qos: 2 }, new SeededRandom(1), verdict);
  await client.connect(peer.port);
  context.after(() => client.peer.drop());
  peer.settling = client;
  return { verdict, peer, client };
}

function message(number: number, messageId: number): IPublishPacket {
  const payload = payloadOf(TOPIC, number);
  return { cmd: "publish", topic: TOPIC, payload, qos: 2, dup: false, retain: false, messageId };
}

function release(messageId: number): Packet {
  return { cmd: "pubrel", messageId };
}

/** Accepts whoever comes, answers SUBSCRIBE and PINGREQ, and says what the test wants it to. */
class Server {
  port = 0;
  sessionPresent = false;
  /** What came but CONNECT, SUBSCRIBE and PINGREQ. */
  readonly received: Packet[] = [];
  settling: { peer: { ping(): Promise<boolean> } } | undefined;
  private socket: Socket | undefined;

  static async start(context: TestContext): Promise<Server> {
    const peer = new Server();
    const server = createServer((socket) => peer.accept(socket)).listen(0, "127.0.0.1");
    await once(server, "listening");
    peer.port = (server.address() as { port: number }).port;
    context.after(() => void server.close());
    return peer;
  }

  /** Resolves when the client has taken these. */
  async send(...packets: Packet[]): Promise<void> {
    for (const packet of packets) this.write(packet);
    if (this.settling !== undefined) await this.settle(this.settling);
  }

  async settle({ peer }: { peer: { ping(): Promise<boolean> } }): Promise<void> {
    assert.equal(await peer.ping(), true);
  }

  private accept(socket: Socket): void {
    this.socket = socket;
    const decoder = parser({ protocolVersion: 5 });
    decoder.on("packet", (packet) => {
      if (packet.cmd === "connect") this.write({ cmd: "connack", reasonCode: 0, sessionPresent: this.sessionPresent });
      else if (packet.cmd === "subscribe") this.write({ cmd: "suback", messageId: packet.messageId!, granted: [2, 2] });
      else if (packet.cmd === "pingreq") this.write({ cmd: "pingresp" });
      else this.received.push(packet);
    });
    socket.on("data", (chunk) => decoder.parse(chunk));
    socket.on("error", () => {});
  }

  private write(packet: Packet): void {
    this.socket!.write(generate(packet, { protocolVersion: 5 }));
  }
}
