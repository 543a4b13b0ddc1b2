import assert from "node:assert/strict";
import { basename, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  compile,
  FIRMWARE,
  type FirmwareFraming,
  FRAMING_NAMES,
  framingFlag,
  LIBRARY,
  NODE,
  run,
  SANITIZED,
  STRICT,
  scratch,
} from "./build.ts";
import { FAIR, Line, lossy, noisy, overUdp, type Weather } from "./carriers.ts";
import { FakeGateway } from "./fake-gateway.ts";
import { NodeProgram } from "./node-program.ts";
import { Random } from "./random.ts";

const folder = scratch();
const programs = new Map<FirmwareFraming, string>();
/** So that what is lost is repeated soon. */
const HASTY = ["--retry-ms", "40", "--reconnect-ms", "20", "--retries", "5"];
/** Where nothing is lost nothing has to be repeated, however busy the machine is. */
const CALM = ["--retry-ms", "4000"];

before(async () => {
  // As the script of the folder builds it, and with everything watched; only one source knows the framing.
  const built = run(join(FIRMWARE, "posix/build.sh"), [join(folder, "cobs"), framingFlag("cobs")]);
  const same = [...LIBRARY, ...NODE].filter((source) => !source.endsWith("framing.c"));
  const objects = await Promise.all(same.map((source) => object(source, basename(source, ".c"))));
  await Promise.all(
    FRAMING_NAMES.filter((framing) => framing !== "cobs").map(async (framing) => {
      const own = await object(join(FIRMWARE, "src/framing.c"), framing, framingFlag(framing));
      await compile(join(folder, framing), [...SANITIZED, ...objects, own]);
    }),
  );
  const { status, stderr } = await built;
  assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
  for (const framing of FRAMING_NAMES) programs.set(framing, join(folder, framing));
});

function object(source: string, name: string, ...flags: string[]): Promise<string> {
  return compile(join(folder, `${name}.o`), [...STRICT, ...SANITIZED, ...flags, "-c", source]);
}

const running: NodeProgram[] = [];
after(() => {
  for (const node of running) node.kill();
});

function program(framing: FirmwareFraming, words: readonly string[]): NodeProgram {
  const node = new NodeProgram(programs.get(framing)!, ["--id", "node", ...HASTY, ...words]);
  running.push(node);
  return node;
}

async function until(what: string, isSo: () => boolean, limitMs = 6000): Promise<void> {
  const end = performance.now() + limitMs;
  while (!isSo()) {
    if (performance.now() > end) throw new Error(`It did not come to this: ${what}`);
    await sleep(5);
  }
}

function upTo(count: number, prefix = ""): string[] {
  return Array.from({ length: count }, (_, at) => `${prefix}${at + 1}`);
}

async function withUdp(weather: Weather, play: (gateway: FakeGateway, option: string) => Promise<void>): Promise<void> {
  const gateway = new FakeGateway();
  const { option, close } = await overUdp(gateway, weather);
  try {
    await play(gateway, option);
  } finally {
    close();
  }
}

async function withLine(
  framing: FirmwareFraming,
  play: (gateway: FakeGateway, line: Line) => Promise<void>,
): Promise<void> {
  const gateway = new FakeGateway();
  const line = new Line(gateway, join(folder, `tty-${framing}-${Math.random()}`), framing);
  await line.plug();
  try {
    await play(gateway, line);
  } finally {
    await line.close();
  }
}

describe("the node", { concurrency: true }, () => {
  test("UDP: the node connects with its will, registers, publishes, says goodbye and prints all that as JSON", async () => {
    await withUdp(FAIR, async (gateway, option) => {
      const words = [
        "--udp",
        option,
        "--clean",
        "--publish",
        "a/b",
        "--count",
        "2",
        "--each",
        "1",
        "--retain",
        "--size",
        "5",
      ];
      const node = program("slip-crc", [
        ...words,
        "--will-topic",
        "w",
        "--will-message",
        "gone",
        "--keep-alive",
        "7",
        ...CALM,
      ]);
      await node.end();
      assert.deepEqual(
        node.events.map(({ event, topic, data }) => ({ event, topic, data })),
        [
          { event: "connected", topic: undefined, data: undefined },
          { event: "registered", topic: "a/b", data: undefined },
          { event: "published", topic: "a/b", data: "1...." },
          { event: "published", topic: "a/b", data: "2...." },
          { event: "goodbye", topic: undefined, data: undefined },
        ],
      );
      const [connect] = gateway.connects;
      assert.deepEqual([connect!.cleanSession, connect!.durationSeconds, connect!.clientId], [true, 7, "node"]);
      assert.deepEqual(gateway.will, { topic: "w", message: "gone" });
      assert.deepEqual(
        gateway.accepted,
        ["1....", "2...."].map((data) => ({ topic: "a/b", data, qos: 1, retain: true })),
      );
    });
  });

  test("UDP: QoS -1 is published without a connection, to a predefined and to a short topic", async () => {
    await withUdp(FAIR, async (gateway, option) => {
      for (const topic of ["=9", "~ab"]) {
        const node = program("slip-crc", [
          "--udp",
          option,
          "--publish",
          topic,
          "--qos",
          "-1",
          "--count",
          "2",
          "--each",
          "1",
        ]);
        await node.end();
        assert.deepEqual(node.events, []);
      }
      await until("four messages", () => gateway.accepted.length === 4);
      assert.deepEqual(
        gateway.accepted.map(({ topic, data, qos }) => `${topic} ${data} ${qos}`),
        ["=9 1 -1", "=9 2 -1", "~ab 1 -1", "~ab 2 -1"],
      );
      assert.equal(gateway.connects.length, 0);
    });
  });

  test("UDP with every fifth datagram lost, both ways: QoS 2 is exactly once, in order, in both directions", async () => {
    await withUdp(lossy(new Random(21), 5), async (gateway, option) => {
      const words = ["--udp", option, "--publish", "up", "--qos", "2", "--each", "0", "--count", "25"];
      const node = program("slip-crc", [...words, "--subscribe", "down", "--subscribe-qos", "2"]);
      await until("a subscription", () => gateway.isSubscribed("down"));
      for (const data of upTo(25, "d")) gateway.deliver("down", data, 2);
      await until("all messages", () => node.told("published").length === 25 && gateway.undelivered === 0, 15_000);
      await node.stop();
      assert.deepEqual(
        gateway.accepted.map(({ data }) => data),
        upTo(25),
      );
      assert.deepEqual(node.told("message"), upTo(25, "d"));
    });
  });

  test("UDP: a gateway that has forgotten the node says DISCONNECT, and gets all again, subscriptions too", async () => {
    await withUdp(FAIR, async (gateway, option) => {
      const words = [
        "--udp",
        option,
        "--publish",
        "up",
        "--each",
        "20",
        "--subscribe",
        "down/+",
        "--subscribe",
        "=4",
        ...CALM,
      ];
      const node = program("slip-crc", words);
      await until("two messages", () => gateway.accepted.length >= 2 && gateway.isSubscribed("=4"));
      gateway.forget();
      await until("it is all back", () => gateway.isSubscribed("down/+") && gateway.isSubscribed("=4"));
      const count = gateway.accepted.length;
      await until("messages again", () => gateway.accepted.length > count);
      gateway.deliver("down/x", "for a wildcard", 1);
      await until("a message down", () => node.told("message").length === 1);
      await node.stop();
      assert.deepEqual(node.told("lost"), ["lost"]);
      assert.equal(node.events.find(({ event }) => event === "lost")!.by, "gateway");
      assert.deepEqual(
        gateway.connects.map(({ cleanSession }) => cleanSession),
        [false, false],
      );
      assert.deepEqual(gateway.registered.slice(0, 2), ["up", "up"]);
      const sent = gateway.accepted.map(({ data }) => data);
      assert.deepEqual(sent, upTo(sent.length));
    });
  });

  test("UDP: a sleeper gets what was kept for it at each waking, and loses nothing of what it says", async () => {
    await withUdp(lossy(new Random(5), 8), async (gateway, option) => {
      const words = ["--udp", option, "--subscribe", "down", "--subscribe-qos", "2", "--sleep", "60", "--wake", "150"];
      const node = program("slip-crc", [...words, "--linger", "20"]);
      await until("it sleeps", () => gateway.state === "asleep");
      for (const data of upTo(4, "a")) gateway.deliver("down", data, 2);
      // A topic that the node has not heard of before.
      gateway.deliver("other", "b", 1);
      assert.deepEqual(node.told("message"), []);
      await until("a window", () => gateway.windows.some((window) => window.length > 0));
      await until("it sleeps again", () => node.told("asleep").length >= 2);
      assert.deepEqual(
        node.told("message").filter((data) => data !== "b"),
        upTo(4, "a"),
      );
      assert.ok(node.told("message").includes("b"));
      gateway.deliver("down", "c", 2);
      await until("the next window", () => gateway.windows.flat().length === 6 && node.told("message").includes("c"));
      assert.deepEqual(gateway.windows.flat(), [...upTo(4, "a"), "b", "c"]);
      await node.stop();
    });
  });

  test("UDP: a sleeper that has something to say connects, says it, and sleeps again", async () => {
    await withUdp(FAIR, async (gateway, option) => {
      const words = [
        "--udp",
        option,
        "--publish",
        "up",
        "--each",
        "60",
        "--count",
        "3",
        "--sleep",
        "60",
        "--wake",
        "50",
      ];
      const node = program("slip-crc", [...words, "--linger", "5", ...CALM]);
      await node.end();
      assert.deepEqual(node.told("published"), upTo(3));
      assert.equal(node.told("lost").length, 0);
      assert.ok(node.told("asleep").length >= 1, JSON.stringify(node.events));
      assert.ok(gateway.connects.length >= 2);
    });
  });

  for (const framing of FRAMING_NAMES) {
    test(`${framing}: over a bad line nothing that was acknowledged is lost, QoS 2 is exactly once`, async () => {
      await withLine(framing, async (gateway, line) => {
        // Without a checksum what is damaged may still look like a message: there whole messages are lost instead.
        const random = new Random(31);
        const hasCrc = framing === "slip-crc" || framing === "cobs";
        const words = [
          "--device",
          line.device,
          "--publish",
          "up",
          "--qos",
          "2",
          "--each",
          "0",
          "--count",
          "20",
          "--size",
          "20",
        ];
        const node = program(framing, [...words, "--subscribe", "down", "--subscribe-qos", "2"]);
        await until("a subscription", () => gateway.isSubscribed("down"));
        if (hasCrc) line.weather = noisy(random, 5);
        else line.loses = () => random.below(6) === 0;
        for (const data of upTo(20, "d")) gateway.deliver("down", data, 2);
        await until("all messages", () => node.told("published").length === 20 && gateway.undelivered === 0, 15_000);
        line.weather = FAIR;
        line.loses = () => false;
        await node.stop();
        assert.deepEqual(
          gateway.accepted.map(({ data }) => data.replace(/\.+$/, "")),
          upTo(20),
        );
        assert.deepEqual(node.told("message"), upTo(20, "d"));
        if (hasCrc) assert.ok(line.counters.checksumErrors + line.counters.resyncs > 0, "There was no noise");
      });
    });
  }

  test("a line that is cut and comes back, again and again: each message arrives once, in order", async () => {
    await withLine("slip-crc", async (gateway, line) => {
      const words = ["--device", line.device, "--publish", "up", "--qos", "2", "--each", "4", "--subscribe", "down"];
      const node = program("slip-crc", [...words, "--subscribe-qos", "2"]);
      await until("a subscription", () => gateway.isSubscribed("down"));
      for (let round = 1; round <= 6; round++) {
        gateway.deliver("down", `d${round}`, 2);
        const count = gateway.accepted.length;
        await until("messages flow", () => gateway.accepted.length > count + 3);
        await line.unplug();
        await until("the node notices", () => node.told("line-down").length === round);
        await line.plug();
        await until("the node is back", () => node.told("line-up").length === round + 1);
      }
      await until("all is delivered", () => gateway.undelivered === 0);
      await node.stop();
      const sent = gateway.accepted.map(({ data }) => data);
      assert.deepEqual(sent, upTo(sent.length));
      assert.deepEqual(node.told("published"), sent.slice(0, node.told("published").length));
      assert.ok(sent.length - node.told("published").length <= 1);
      assert.deepEqual(node.told("message"), upTo(6, "d"));
    });
  });

  test("a node whose gateway is silent reconnects to it for ever", async () => {
    await withLine("slip-crc", async (gateway, line) => {
      const node = program("slip-crc", ["--device", line.device, "--keep-alive", "1", "--subscribe", "s"]);
      await until("it is connected", () => gateway.isSubscribed("s"));
      line.weather = () => new Uint8Array(0);
      await until("it gives up", () => node.told("lost").length === 1 && node.told("unanswered").length >= 2);
      line.weather = FAIR;
      await until("it is back", () => node.told("connected").length === 2);
      assert.equal(node.events.find(({ event }) => event === "lost")!.by, "silence");
      await node.stop();
      assert.equal(node.told("goodbye").length, 1);
    });
  });

  test("the node's options: what is wrong is named, and help lists them all", async () => {
    const node = programs.get("slip-crc")!;
    const refused = async (...words: string[]) => {
      const { status, stdout, stderr } = await run(node, words);
      assert.deepEqual({ status, stdout }, { status: 2, stdout: "" });
      return stderr.trim();
    };
    assert.equal(await refused("--id", "a"), "--id, and either --device or --udp, are needed; --help tells more");
    const device = ["--id", "a", "--device", "x"];
    assert.equal(await refused(...device, "--qos", "3"), '--qos: "3" is not a number from -1 to 2');
    assert.equal(await refused(...device, "--baud", "123"), "--baud: 123 is not a usual speed");
    assert.equal(await refused(...device, "--nothing", "1"), "There is no option --nothing; --help lists them");
    assert.equal(
      await refused(...device, "--each"),
      "--each: no such option, or its value is missing; --help lists them",
    );
    assert.equal(await refused(...device, "--publish", "=0"), '--publish: "0" is not a number from 1 to 65534');
    assert.equal(await refused("--id", "a", "--udp", "here"), '--udp: "here" is not HOST:PORT');
    assert.equal(
      await refused("--id", "x".repeat(24), "--device", "x"),
      `--id: "${"x".repeat(24)}" is not 1 to 23 octets long`,
    );
    const help = await run(node, ["--help"]);
    assert.equal(help.status, 0);
    for (const option of ["--device", "--sleep", "--wait-ms", "--will-retain"])
      assert.ok(help.stdout.includes(option), option);
  });
});
