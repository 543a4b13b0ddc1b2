import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Writable } from "node:stream";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { runPub } from "../../src/cli/pub.ts";
import { runRr } from "../../src/cli/rr.ts";
import { runSub } from "../../src/cli/sub.ts";
import { type BrokerUnderTest, startBroker } from "../support/broker-under-test.ts";
import { asProcess, ours, real, start } from "./clients-kit.ts";

let broker: BrokerUnderTest;
let guarded: BrokerUnderTest;
let folder: string;
let at: string[];
let closed: string[];

before(async () => {
  [broker, guarded, folder] = await Promise.all([
    startBroker(),
    startBroker({ users: { alice: "secret" } }),
    mkdtemp(join(tmpdir(), "clients-test-")),
  ]);
  at = ["-h", "127.0.0.1", "-p", String(broker.port)];
  closed = ["-h", "127.0.0.1", "-p", String(guarded.port)];
});
after(() => Promise.all([broker.stop(), guarded.stop(), rm(folder, { recursive: true })]));

/** A payload with every byte. */
const ALL_BYTES = Uint8Array.from({ length: 256 }, (_, byte) => byte);

/** Publishes a retained message with the real client. */
async function retain(topicName: string, ...words: string[]): Promise<void> {
  const { code } = await real("mosquitto_pub", [...at, "-q", "1", "-r", "-t", topicName, ...words]);
  assert.equal(code, 0);
}

/** What the real client reads from a topic. */
async function readBack(topicName: string, ...words: string[]): Promise<string> {
  const { stdout } = await real("mosquitto_sub", [...at, "-t", topicName, "-C", "1", "-W", "3", ...words]);
  return stdout.toString("latin1");
}

/** A Server that accepts everybody and has one answer to the next packet; undefined: it hangs up. */
async function answering(answer: number[] | undefined): Promise<{ port: number; close(): void }> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => {
      socket.write(Uint8Array.of(0x20, 2, 0, 0));
      socket.once("data", () => (answer === undefined ? socket.destroy() : socket.write(Uint8Array.from(answer))));
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { port: portOf(server), close: () => server.close() };
}

function portOf(server: Server): number {
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return address.port;
}

describe("pub", { concurrency: 6 }, () => {
  for (const qos of ["0", "1", "2"]) {
    for (const version of ["31", "311", "5"]) {
      it(`delivers with QoS ${qos} by MQTT ${version}`, async () => {
        const topicName = `pub/${qos}/${version}`;
        const result = await ours(runPub, [...at, "-t", topicName, "-m", "hé", "-q", qos, "-V", version, "-r"]);
        assert.deepEqual([result.code, result.stdout.length, result.stderr], [0, 0, ""]);
        assert.equal(await readBack(topicName, "-q", "2", "-F", "%x %q %r"), `68c3a9 ${qos} 1\n`);
      });
    }
  }

  it("sends every byte of a file", async () => {
    const path = join(folder, "bytes");
    await writeFile(path, ALL_BYTES);
    assert.equal((await ours(runPub, [...at, "-t", "pub/file", "-r", "-q", "1", "-f", path])).code, 0);
    assert.equal(await readBack("pub/file", "-N"), Buffer.from(ALL_BYTES).toString("latin1"));
  });

  it("sends every byte of standard input", async () => {
    assert.equal((await ours(runPub, [...at, "-t", "pub/stdin", "-r", "-q", "1", "-s"], ALL_BYTES)).code, 0);
    assert.equal(await readBack("pub/stdin", "-N"), Buffer.from(ALL_BYTES).toString("latin1"));
  });

  it("says which file it cannot read, before it connects", async () => {
    const { code, stderr } = await ours(runPub, ["-p", "1", "-t", "x", "-f", join(folder, "none")]);
    assert.deepEqual([code, stderr], [1, `Error: Cannot read ${join(folder, "none")}: No such file or directory\n`]);
  });

  it("clears a retained message with -n", async () => {
    await retain("pub/null", "-m", "x");
    assert.equal((await ours(runPub, [...at, "-t", "pub/null", "-r", "-n", "-q", "1"])).code, 0);
    assert.equal((await real("mosquitto_sub", [...at, "-t", "pub/null", "-E", "-v"])).stdout.toString(), "");
  });

  it("sends each line of standard input, also the empty and the unfinished one, in order", async () => {
    const sub = start(runSub, [...at, "-t", "pub/lines", "-q", "2", "-C", "5", "-F", "%x", "-d"]);
    await sub.saw("Subscribed");
    const input = Buffer.from("a\nb\r\n\n\xff\x00\nlast", "latin1");
    assert.equal((await ours(runPub, [...at, "-t", "pub/lines", "-q", "2", "-l"], input)).code, 0);
    const lines = (await sub.result).stdout
      .toString()
      .split("\n")
      .filter((line) => !line.startsWith("Client"));
    assert.deepEqual(lines.slice(1), ["61", "620d", "", "ff00", "6c617374", ""]);
  });

  it("sends a line as soon as it is complete", async () => {
    const sub = start(runSub, [...at, "-t", "pub/slow", "-C", "2", "-d"]);
    await sub.saw("Subscribed");
    const pub = start(runPub, [...at, "-t", "pub/slow", "-l"]);
    pub.stdin.write("fir");
    pub.stdin.write("st\nsec");
    await sub.saw("first\n");
    pub.stdin.end("ond\n");
    assert.equal((await pub.result).code, 0);
    await sub.saw("second\n");
    assert.equal((await sub.result).code, 0);
  });

  it("repeats a message, with a delay between two", async () => {
    const sub = start(runSub, [...at, "-t", "pub/repeat", "-C", "3", "-N", "-d"]);
    await sub.saw("Subscribed");
    const before = performance.now();
    const words = ["-m", "r", "--repeat", "3", "--repeat-delay", "0.05"];
    assert.equal((await ours(runPub, [...at, "-t", "pub/repeat", ...words])).code, 0);
    assert.ok(performance.now() - before >= 98);
    assert.equal((await sub.result).code, 0);
  });

  it("keeps no more than -M messages unacknowledged", async () => {
    const words = ["-t", "pub/inflight", "-q", "1", "-l", "-M", "2", "-d"];
    const { code, stdout } = await ours(runPub, [...at, ...words], "x\n".repeat(50));
    assert.equal(code, 0);
    let open = 0;
    let most = 0;
    for (const line of stdout.toString().split("\n")) {
      if (line.includes(" sending PUBLISH ")) most = Math.max(most, ++open);
      if (line.includes(" received PUBACK ")) open--;
    }
    assert.deepEqual([open, most], [0, 2]);
  });

  it("sends the properties of -D, which the real client reads", async () => {
    const properties = [
      ["content-type", "text/plain"],
      ["correlation-data", "c"],
      ["payload-format-indicator", "1"],
      ["response-topic", "a/b"],
      ["user-property", "k", "v"],
      ["user-property", "k", "w"],
    ].flatMap((words) => ["-D", "publish", ...words]);
    assert.equal((await ours(runPub, [...at, "-t", "pub/props", "-r", "-q", "1", "-m", "x", ...properties])).code, 0);
    assert.equal(await readBack("pub/props", "-V", "5", "-F", "%C %D %F %R %P"), "text/plain c 1 a/b k:v k:w\n");
  });

  it("5.0 §3.3.2.3.4 refuses a topic alias the broker has not allowed", async () => {
    const { code, stderr } = await ours(runPub, [
      ...closed,
      "-t",
      "ok/x",
      "-m",
      "1",
      "-D",
      "publish",
      "topic-alias",
      "60000",
      "-u",
      "alice",
      "-P",
      "secret",
    ]);
    assert.deepEqual([code, stderr], [1, "Error: Sending Topic Alias out of range\n"]);
  });

  it("warns about a PUBLISH that was refused, as mosquitto_pub", async () => {
    const argv = [...closed, "-V", "5", "-u", "alice", "-P", "secret", "-t", "no", "-m", "1", "-q", "1"];
    const [mine, theirs] = await Promise.all([ours(runPub, argv), real("mosquitto_pub", argv)]);
    assert.deepEqual([mine.code, mine.stderr], [0, "Warning: Publish 1 failed: Not authorized.\n"]);
    assert.deepEqual(mine, theirs);
  });

  it("prints every packet with -d, as mosquitto_pub", async () => {
    for (const words of [
      ["-q", "0"],
      ["-q", "1"],
      ["-q", "2", "-r"],
    ]) {
      const argv = [...at, "-i", `debug${words[1]}`, "-t", "pub/debug", "-m", "abc", "-d", ...words];
      const mine = await ours(runPub, argv);
      const theirs = await real("mosquitto_pub", argv);
      // A PUBLISH with QoS 0 has no packet identifier; mosquitto_pub prints a number of its own.
      const text = (bytes: Buffer): string => bytes.toString().replace(/(q0, r\d), m\d/, "$1");
      assert.equal(text(mine.stdout), text(theirs.stdout));
    }
  });

  it("publishes over a Unix socket and by URL", async () => {
    assert.equal((await ours(runPub, ["--unix", broker.unixPath, "-t", "pub/unix", "-m", "u", "-r"])).code, 0);
    assert.equal(await readBack("pub/unix"), "u\n");
    const url = `mqtt://127.0.0.1:${broker.port}/pub/url/topic`;
    assert.equal((await ours(runPub, ["-L", url, "-m", "l", "-r", "--nodelay", "-A", "127.0.0.1"])).code, 0);
    assert.equal(await readBack("pub/url/topic"), "l\n");
  });

  it("5.0 [MQTT-3.1.2-8] leaves a Will Message that is sent when the connection breaks, and not after DISCONNECT", async () => {
    const sub = start(runSub, [...at, "-t", "pub/will/#", "-C", "1", "-v", "-d"]);
    await sub.saw("Subscribed");
    const will = (name: string) => ["--will-topic", `pub/will/${name}`, "--will-payload", name, "-i", `will-${name}`];
    assert.equal((await ours(runPub, [...at, "-t", "x", "-m", "1", ...will("orderly")])).code, 0);
    const broken = start(runPub, [...at, "-t", "x", "-l", "-d", ...will("broken")]);
    broken.stdin.write("x\n");
    await broken.saw("sending PUBLISH");
    // A second client with the same identifier takes the session over.
    assert.equal((await ours(runPub, [...at, "-t", "x", "-m", "1", "-i", "will-broken"])).code, 0);
    broken.interrupt();
    await broken.result;
    assert.match((await sub.result).stdout.toString(), /pub\/will\/broken broken\n/);
    assert.doesNotMatch((await sub.result).stdout.toString(), /orderly/);
  });

  it("ends with 128 and the signal's number when it is interrupted", async () => {
    const [program, ...words] = asProcess("runPub", "pub.ts");
    const sending = ["-t", "pub/signal", "-m", "1", "--repeat", "2", "--repeat-delay", "60", "-d"];
    const child = spawn(program!, [...words, ...at, ...sending], { stdio: ["ignore", "pipe", "inherit"] });
    const ended = once(child, "close");
    let seen = "";
    for await (const chunk of child.stdout) {
      seen += chunk;
      if (seen.includes("sending PUBLISH") && !child.killed) child.kill("SIGTERM");
    }
    assert.deepEqual(await ended, [143, null]);
    assert.match(seen, /sending DISCONNECT\n$/);
  });
});

describe("sub", { concurrency: 6 }, () => {
  for (const words of [[], ["-v"], ["-N"], ["-v", "-N"], ["-F", "%t:%p", "-N"], ["-F", "%t:%p", "-v"]]) {
    it(`prints the same bytes as mosquitto_sub with ${words.join(" ") || "no option"}`, async () => {
      const filter = `sub/print/${words.join("")}`.replace(/[%:]/g, "");
      await retain(`${filter}/a`, "-m", "hello");
      await real("mosquitto_pub", [...at, "-q", "1", "-r", "-t", `${filter}/b`, "-s"], ALL_BYTES);
      const argv = [...at, "-t", `${filter}/#`, "-C", "2", "-W", "5", ...words];
      const [mine, theirs] = await Promise.all([ours(runSub, argv), real("mosquitto_sub", argv)]);
      assert.deepEqual(mine, theirs);
      assert.ok(mine.stdout.length > 256);
    });

    it(`prints an empty message as mosquitto_sub with ${words.join(" ") || "no option"}`, async () => {
      const topicName = `sub/empty/${words.join("")}`.replace(/[%:]/g, "");
      // Sessions of their own keep the messages for both, however late they come.
      const argv = (id: string): string[] => [...at, "-t", topicName, "-q", "1", "-c", "-i", `${id}${words.join("")}`];
      for (const id of ["empty-ours", "empty-theirs"]) await ours(runSub, [...argv(id), "-E"]);
      await ours(runPub, [...at, "-t", topicName, "-l", "-q", "1"], "\nx\n\n");
      const rest = ["-C", "3", "-W", "5", ...words];
      const mine = await ours(runSub, [...argv("empty-ours"), ...rest]);
      assert.deepEqual(mine, await real("mosquitto_sub", [...argv("empty-theirs"), ...rest]));
    });
  }

  it("takes several filters, leaves out what -T matches, and counts what it prints", async () => {
    for (const name of ["a", "b", "c"]) await retain(`sub/out/${name}`, "-m", name);
    const argv = [...at, "-t", "sub/out/a", "-t", "sub/out/+", "-T", "sub/out/b", "-W", "1", "-v"];
    const { code, stdout } = await ours(runSub, argv);
    assert.equal(code, 27);
    assert.deepEqual([...new Set(stdout.toString().trim().split("\n"))].sort(), ["sub/out/a a", "sub/out/c c"]);
  });

  it("-W ends with 27 and says so, unless --quiet", async () => {
    const [loud, quiet] = await Promise.all([
      ours(runSub, [...at, "-t", "sub/silence", "-W", "1"]),
      ours(runSub, [...at, "-t", "sub/silence", "-W", "1", "--quiet"]),
    ]);
    assert.deepEqual([loud.code, loud.stderr], [27, "Timed out\n"]);
    assert.deepEqual([quiet.code, quiet.stderr], [27, ""]);
  });

  it("-E ends when the subscriptions are answered", async () => {
    const { code, stdout } = await ours(runSub, [
      ...at,
      "-t",
      "sub/e",
      "-t",
      "sub/f",
      "-E",
      "-q",
      "2",
      "-d",
      "-i",
      "sub-e",
    ]);
    assert.equal(code, 0);
    assert.deepEqual(stdout.toString().split("\n"), [
      "Client sub-e sending CONNECT",
      "Client sub-e received CONNACK (0)",
      "Client sub-e sending SUBSCRIBE (Mid: 1, Topic: sub/e, QoS: 2, Options: 0x00)",
      "Client sub-e sending SUBSCRIBE (Mid: 1, Topic: sub/f, QoS: 2, Options: 0x00)",
      "Client sub-e received SUBACK",
      "Subscribed (mid: 1): 2, 2",
      "Client sub-e sending DISCONNECT",
      "",
    ]);
  });

  it("-c and -E make a session that keeps messages; what was not printed is not lost", async () => {
    const session = [...at, "-t", "sub/kept", "-c", "-i", "sub-kept", "-q", "1"];
    assert.equal((await ours(runSub, [...session, "-E"])).code, 0);
    await ours(runPub, [...at, "-t", "sub/kept", "-l", "-q", "1"], "a\nb\nc\n");
    const first = await ours(runSub, [...session, "-C", "1", "-W", "5"]);
    const rest = await ours(runSub, [...session, "-C", "2", "-W", "5"]);
    assert.deepEqual([first.stdout.toString(), rest.stdout.toString()], ["a\n", "b\nc\n"]);
  });

  it("-U unsubscribes from a kept session", async () => {
    const session = [...at, "-c", "-i", "sub-u", "-q", "1", "-E"];
    await ours(runSub, [...session, "-t", "sub/u/1"]);
    await ours(runSub, [...session, "-t", "sub/u/2", "-U", "sub/u/1"]);
    for (const name of ["1", "2"]) await ours(runPub, [...at, "-t", `sub/u/${name}`, "-m", name, "-q", "1"]);
    const { stdout } = await ours(runSub, [...at, "-c", "-i", "sub-u", "-t", "sub/u/2", "-q", "1", "-C", "1", "-v"]);
    assert.equal(stdout.toString(), "sub/u/2 2\n");
  });

  it("-R leaves retained messages out, --retained-only ends at the first other one", async () => {
    await retain("sub/r", "-m", "old");
    const fresh = start(runSub, [...at, "-t", "sub/r", "-R", "-C", "1", "-d"]);
    const only = start(runSub, [...at, "-t", "sub/r", "--retained-only", "-d"]);
    await only.saw("old\n");
    await fresh.saw("received PUBLISH");
    await ours(runPub, [...at, "-t", "sub/r", "-m", "new", "-q", "1"]);
    assert.equal((await only.result).code, 0);
    assert.doesNotMatch((await only.result).stdout.toString(), /^new$/m);
    assert.match((await fresh.result).stdout.toString(), /^new$/m);
    assert.doesNotMatch((await fresh.result).stdout.toString(), /^old$/m);
  });

  it("--remove-retained clears what it prints, but not what -T leaves out", async () => {
    for (const name of ["a", "b", "c"]) await retain(`sub/clear/${name}`, "-m", name);
    const argv = [...at, "-t", "sub/clear/#", "-T", "sub/clear/b", "--remove-retained", "-C", "2"];
    assert.equal((await ours(runSub, argv)).code, 0);
    assert.equal(await readBack("sub/clear/#", "-v"), "sub/clear/b b\n");
    const left = await real("mosquitto_sub", [...at, "-t", "sub/clear/#", "-W", "1", "-v"]);
    assert.equal(left.stdout.toString(), "sub/clear/b b\n");
  });

  it("5.0 §3.8.3.1 --retain-as-published keeps RETAIN of a new message", async () => {
    const sub = start(runSub, [
      ...at,
      "-V",
      "5",
      "-t",
      "sub/rap",
      "--retain-as-published",
      "-C",
      "1",
      "-F",
      "%r %p",
      "-d",
    ]);
    await sub.saw("Options: 0x08");
    await sub.saw("Subscribed");
    await ours(runPub, [...at, "-t", "sub/rap", "-m", "x", "-r"]);
    await sub.saw("1 x\n");
    assert.equal((await sub.result).code, 0);
  });

  it("--random-filter prints about as many as it says", async () => {
    const sub = start(runSub, [
      ...at,
      "-t",
      "sub/random",
      "-C",
      "400",
      "-q",
      "1",
      "--random-filter",
      "50",
      "-F",
      "%%",
      "-d",
    ]);
    await sub.saw("Subscribed");
    await ours(runPub, [...at, "-t", "sub/random", "-l", "-q", "1"], "x\n".repeat(400));
    const printed = (await sub.result).stdout.toString().match(/^%$/gm)?.length ?? 0;
    assert.ok(printed > 120 && printed < 280, `${printed} of 400`);
  });

  it("connects again when the broker comes back, and subscribes again", async () => {
    // A door in front of the broker, which can be slammed.
    const inside = new Set<Socket>();
    const door = createServer((socket) => {
      const on = connect(broker.port, "127.0.0.1");
      socket.pipe(on).pipe(socket);
      for (const one of [socket, on]) {
        inside.add(one);
        one.on("error", () => {}).on("close", () => socket.destroy());
      }
    }).listen(0, "127.0.0.1");
    await once(door, "listening");
    const sub = start(runSub, ["-h", "127.0.0.1", "-p", String(portOf(door)), "-t", "sub/again", "-C", "1", "-d"]);
    await sub.saw("Subscribed (mid: 1)");
    for (const socket of inside) socket.destroy();
    await sub.saw("Subscribed (mid: 1): 0\nClient (null) sending CONNECT");
    await sub.saw(
      "received SUBACK\nSubscribed (mid: 1): 0\nClient (null) sending CONNECT\nClient (null) received CONNACK (0)\nClient (null) sending SUBSCRIBE (Mid: 1, Topic: sub/again, QoS: 0, Options: 0x00)\nClient (null) received SUBACK",
    );
    await ours(runPub, [...at, "-t", "sub/again", "-m", "back"]);
    await sub.saw("back\n");
    assert.equal((await sub.result).code, 0);
    for (const socket of inside) socket.destroy();
    door.close();
  });

  it("ends in order with 0 when it is interrupted, and the Will Message is not sent", async () => {
    const watch = start(runSub, [...at, "-t", "sub/int/will", "-W", "1", "-d"]);
    await watch.saw("Subscribed");
    const sub = start(runSub, [...at, "-t", "sub/int", "-d", "--will-topic", "sub/int/will", "--will-payload", "w"]);
    await sub.saw("Subscribed");
    sub.interrupt();
    const { code, stdout } = await sub.result;
    assert.equal(code, 0);
    assert.match(stdout.toString(), /sending DISCONNECT\n$/);
    assert.doesNotMatch((await watch.result).stdout.toString(), /^w$/m);
  });

  it("ends when all its subscriptions are refused, as mosquitto_sub, and goes on when one is granted", async () => {
    const refusing = await answering([0x90, 3, 0, 1, 0x80]);
    const argv = ["-h", "127.0.0.1", "-p", String(refusing.port), "-t", "a"];
    const [mine, theirs] = [await ours(runSub, argv), await real("mosquitto_sub", argv)];
    refusing.close();
    assert.deepEqual(mine, theirs);
    assert.equal(mine.stderr, "All subscription requests were denied.\n");
    const granting = await answering([0x90, 4, 0, 1, 0x80, 0]);
    const two = ["-h", "127.0.0.1", "-p", String(granting.port), "-t", "a", "-t", "b", "-W", "1", "-d"];
    const { code, stdout } = await ours(runSub, two);
    granting.close();
    assert.equal(code, 27);
    assert.match(stdout.toString(), /^Subscribed \(mid: 1\): 128, 0$/m);
  });

  it("takes no further message while nobody reads its output, and loses none", async () => {
    const taken: Buffer[] = [];
    let letThrough: (() => void) | undefined;
    const stdout = new Writable({
      highWaterMark: 1,
      write(chunk: Buffer, _, done) {
        taken.push(chunk);
        letThrough = done;
      },
    });
    const stdin = new PassThrough();
    const stderr = new PassThrough();
    const session = [...at, "-t", "sub/slow", "-q", "1", "-c", "-i", "sub-slow"];
    assert.equal((await ours(runSub, [...session, "-E"])).code, 0);
    await ours(runPub, [...at, "-t", "sub/slow", "-l", "-q", "1"], "a\nb\nc\nd\n");
    const interrupt = new AbortController().signal;
    const result = runSub([...session, "-C", "4", "-W", "5"], { stdin, stdout, stderr, env: {}, interrupt });
    while (letThrough === undefined) await sleep(5);
    await sleep(100);
    assert.deepEqual([taken.length, stdout.writableLength], [1, 2]);
    const drain = setInterval(() => letThrough?.(), 5);
    assert.equal(await result, 0);
    clearInterval(drain);
    assert.equal(Buffer.concat(taken).toString(), "a\nb\nc\nd\n");
  });

  it("prints all of a large message to a slow reader", async () => {
    const [program, ...words] = asProcess("runSub", "sub.ts");
    await real("mosquitto_pub", [...at, "-q", "1", "-r", "-t", "sub/big", "-s"], Buffer.alloc(5_000_000, "x"));
    const argv = [...words, ...at, "-t", "sub/big", "-C", "1"];
    const { stdout } = await real("sh", ["-c", '"$@" | (sleep 0.6; wc -c)', "sh", program!, ...argv]);
    assert.equal(stdout.toString().trim(), "5000001");
  });

  it("ends quietly when nobody reads its output any more", async () => {
    const [program, ...words] = asProcess("runSub", "sub.ts");
    await real("mosquitto_pub", [...at, "-q", "1", "-r", "-t", "sub/pipe/1", "-s"], Buffer.alloc(300_000, "x\n"));
    const argv = [...words, ...at, "-t", "sub/pipe/#", "-W", "5"];
    const script = '{ "$@"; echo "code $?" >&2; } | head -n 1';
    const result = await real("bash", ["-c", script, "sh", program!, ...argv]);
    assert.deepEqual([result.stdout.toString(), result.stderr], ["x\n", "code 0\n"]);
  });
});

describe("rr", { concurrency: 6 }, () => {
  const UNTIL = ["-W", "5"];

  it("5.0 §4.10 sends the response topic and correlation data, and prints the response", async () => {
    const responder = start(runSub, [...at, "-V", "5", "-t", "rr/q", "-C", "1", "-F", "%R %D %p", "-d"]);
    await responder.saw("Subscribed");
    const words = ["-t", "rr/q", "-e", "rr/a", "-m", "question", "-D", "publish", "correlation-data", "7", "-v"];
    const requester = start(runRr, [...at, ...words, ...UNTIL]);
    await responder.saw("rr/a 7 question\n");
    await real("mosquitto_pub", [...at, "-t", "rr/a", "-m", "answer"]);
    const { code, stdout } = await requester.result;
    assert.deepEqual([code, stdout.toString()], [0, "rr/a answer\n"]);
    assert.equal((await responder.result).code, 0);
  });

  it("is answered by the real client, and answers it", async () => {
    const responder = start(runSub, [...at, "-V", "5", "-t", "rr/real", "-C", "1", "-F", "%R", "-d"]);
    await responder.saw("Subscribed");
    const theirs = real("mosquitto_rr", [...at, "-t", "rr/real", "-e", "rr/real/a", "-m", "q", ...UNTIL]);
    await responder.saw("rr/real/a\n");
    assert.equal((await ours(runPub, [...at, "-t", "rr/real/a", "-m", "42", "-q", "1"])).code, 0);
    assert.deepEqual([(await theirs).code, (await theirs).stdout.toString()], [0, "42\n"]);
  });

  it("sends one line after the other, each after the response to the one before", async () => {
    const requester = start(runRr, [...at, "-t", "rr/l", "-e", "rr/l", "-l", ...UNTIL], "a\nb\nc\n");
    const { code, stdout } = await requester.result;
    assert.deepEqual([code, stdout.toString()], [0, "a\nb\nc\n"]);
  });

  it("leaves a retained old response out with -R", async () => {
    await retain("rr/old", "-m", "old");
    const { code, stdout } = await ours(runRr, [...at, "-t", "rr/old", "-e", "rr/old", "-m", "new", "-R", ...UNTIL]);
    assert.deepEqual([code, stdout.toString()], [0, "new\n"]);
  });

  it("works by 3.1.1, without the property", async () => {
    const { code, stdout } = await ours(runRr, [...at, "-V", "311", "-t", "rr/3", "-e", "rr/3", "-m", "x", ...UNTIL]);
    assert.deepEqual([code, stdout.toString()], [0, "x\n"]);
  });

  it("ends with 27 when no response comes", async () => {
    const { code, stderr } = await ours(runRr, [...at, "-t", "rr/n", "-e", "rr/m", "-m", "x", "-W", "1"]);
    assert.deepEqual([code, stderr], [27, "Timed out\n"]);
  });
});

describe("no connection", { concurrency: 6 }, () => {
  const commands = [
    ["pub", runPub, ["-t", "ok/x", "-m", "1"]],
    ["sub", runSub, ["-t", "ok/x"]],
    ["rr", runRr, ["-t", "ok/x", "-e", "ok/y", "-m", "1"]],
  ] as const;
  for (const [name, command, words] of commands) {
    it(`${name} ends with 5 when 3.1.1 says "not authorised", as mosquitto_${name}`, async () => {
      const argv = [...closed, "-V", "311", ...words];
      const [mine, theirs] = await Promise.all([ours(command, argv), real(`mosquitto_${name}`, argv)]);
      assert.deepEqual([mine.code, mine.stderr], [5, "Connection error: Connection Refused: not authorised.\n"]);
      // mosquitto_rr takes the code for one of 5.0 and says "Unknown reason".
      const text = name === "rr" ? "Connection error: Unknown reason" : mine.stderr.trimEnd();
      assert.deepEqual([theirs.code, theirs.stderr.split("\n")[0]], [5, text]);
    });

    it(`${name} ends with 135 when 5.0 says "Not authorized", as mosquitto_${name}`, async () => {
      const argv = [...closed, "-V", "5", "-u", "alice", "-P", "wrong", ...words];
      const [mine, theirs] = await Promise.all([ours(command, argv), real(`mosquitto_${name}`, argv)]);
      assert.deepEqual([mine.code, mine.stderr], [135, "Connection error: Not authorized\n"]);
      assert.deepEqual([theirs.code, theirs.stderr.split("\n")[0]], [135, mine.stderr.trimEnd()]);
    });

    it(`${name} ends with 1 when nobody listens, as mosquitto_${name}`, async () => {
      const argv = ["-h", "127.0.0.1", "-p", "1", ...words];
      const [mine, theirs] = await Promise.all([ours(command, argv), real(`mosquitto_${name}`, argv)]);
      assert.deepEqual(mine, theirs);
      assert.deepEqual([mine.code, mine.stderr], [1, "Error: Connection refused\n"]);
    });

    it(`${name} says which certificate it cannot read`, async () => {
      const { code, stderr } = await ours(command, [...at, ...words, "--cafile", "/nonexistent.pem"]);
      assert.deepEqual([code, stderr], [1, "Error: Cannot read /nonexistent.pem: No such file or directory\n"]);
    });
  }

  it("says nothing with --quiet", async () => {
    const { code, stderr } = await ours(runPub, ["-h", "127.0.0.1", "-p", "1", "-t", "x", "-m", "1", "--quiet"]);
    assert.deepEqual([code, stderr], [1, ""]);
  });

  it("warns of a password that 3.1.1 cannot send without a user name", async () => {
    const { code, stderr } = await ours(runPub, [...at, "-t", "x", "-m", "1", "-P", "secret"]);
    assert.deepEqual([code, stderr], [0, "Warning: Not using password since username not set.\n"]);
  });

  it("pub ends with 7 when the connection is lost before the acknowledgement", async () => {
    const rude = await answering(undefined);
    const argv = ["-h", "127.0.0.1", "-p", String(rude.port), "-t", "x", "-m", "1", "-q", "1"];
    const { code, stderr } = await ours(runPub, argv);
    rude.close();
    assert.deepEqual([code, stderr], [7, "Error: The connection was lost.\n"]);
  });
});
