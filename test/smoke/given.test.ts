import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { placesIn, withSockets } from "../support/given-sockets.ts";
import { connect as connectTcp } from "../support/raw-client.ts";
import { emptyFolder, type Running, startProgram } from "./program.ts";

const ANY = "127.0.0.1:0";

/** Accepted, without a session. */
const CONNACK = "20020000";

/** CONNECT of 3.1.1 for a client id of four letters, and PINGREQ. */
function hello(clientId: string): Buffer {
  const connectPacket = Buffer.concat([Buffer.from("101000044d515454040200000004", "hex"), Buffer.from(clientId)]);
  return Buffer.concat([connectPacket, Buffer.of(0xc0, 0)]);
}

/** The next bytes, in hexadecimal. */
async function answer(socket: Socket, length: number): Promise<string> {
  for (;;) {
    const bytes = socket.read(length) as Buffer | null;
    if (bytes !== null) return bytes.toString("hex");
    await once(socket, "readable");
  }
}

/** The ports or paths that were opened for it, in their order. */
async function opened(program: Running, count: number): Promise<string[]> {
  await program.until(() => placesIn(program.stdout).length === count, `${count} sockets`);
  return placesIn(program.stdout);
}

function listening(program: Running): unknown[] {
  return program.lines
    .filter(({ message }) => message.startsWith("Listening on"))
    .map(({ message, listener }) => `${listener}: ${message}`);
}

async function configured(context: TestContext, listeners: string, before: readonly string[]): Promise<Running> {
  const cwd = emptyFolder(context);
  writeFileSync(join(cwd, "mqtt-broker.json5"), `{ listeners: [${listeners}] }`);
  return startProgram(context, [], { cwd, before });
}

suite("sockets that systemd hands over", () => {
  test("are used when no listener is asked for: those of TCP and of Unix", async (context) => {
    const path = join(emptyFolder(context), "mqtt.sock");
    const program = startProgram(context, [], { before: withSockets([ANY, path]) });
    const [port] = await opened(program, 2);
    await program.line(`Listening on unix:${path}`);
    assert.deepEqual(listening(program), [
      `fd: Listening on tcp://127.0.0.1:${port}`,
      `fd-2: Listening on unix:${path}`,
    ]);
    const subscriber = await connectTcp(Number(port));
    await subscriber.subscribe("t");
    const unix = connect(path);
    context.after(() => void unix.destroy());
    unix.write(hello("unix"));
    assert.equal(await answer(unix, 6), `${CONNACK}d000`);
    await program.stop();
    assert.equal(existsSync(path), true, "the file belongs to systemd");
  });

  test("keep clients waiting that come before the broker, and lose nothing of them", async (context) => {
    const program = startProgram(context, [], { before: withSockets([ANY], { hold: true }) });
    const [port] = await opened(program, 1);
    const early = Array.from({ length: 20 }, () => connect(Number(port), "127.0.0.1"));
    for (const [index, socket] of early.entries()) {
      socket.write(Buffer.concat([hello(`c${index + 100}`), Buffer.of(0xc0)]));
      context.after(() => void socket.destroy());
    }
    await Promise.all(early.map((socket) => new Promise((resolve) => socket.once("connect", resolve))));
    program.type("go");
    const answers = await Promise.all(
      early.map(async (socket) => {
        const first = await answer(socket, 6);
        socket.write(Buffer.of(0));
        return first + (await answer(socket, 2));
      }),
    );
    assert.deepEqual(answers, new Array(20).fill(`${CONNACK}d000d000`));
  });

  test("have numbers and names in the configuration, and stand beside other listeners", async (context) => {
    const listeners = '{ type: "fd", fdName: "door", name: "front" }, { type: "fd", fd: 3 }, { port: 0 }';
    const program = await configured(context, listeners, withSockets([ANY, ANY], { names: ["other", "door"] }));
    const [third, fourth] = await opened(program, 2);
    await program.line(/^Listening on tcp:\/\/\[::\]|^Listening on tcp:\/\/0/);
    assert.deepEqual(listening(program).slice(0, 2), [
      `front: Listening on tcp://127.0.0.1:${fourth}`,
      `fd: Listening on tcp://127.0.0.1:${third}`,
    ]);
    await connectTcp(Number(fourth));
  });

  test("may be behind proxies, when they are of TCP", async (context) => {
    const path = join(emptyFolder(context), "mqtt.sock");
    const behind = 'proxyProtocol: true, trustedProxies: ["127.0.0.1"]';
    const program = await configured(context, `{ type: "fd", fd: 3, ${behind} }`, withSockets([ANY]));
    const [port] = await opened(program, 1);
    await program.line(/^Listening on tcp/);
    const socket = connect(Number(port), "127.0.0.1");
    context.after(() => void socket.destroy());
    socket.write(Buffer.concat([Buffer.from("PROXY TCP4 127.0.0.9 10.0.0.1 50000 1883\r\n"), hello("here")]));
    assert.equal(await answer(socket, 6), `${CONNACK}d000`);
    const { address } = await program.line("Client connected");
    assert.equal(address, "127.0.0.9:50000");
    const unix = await configured(context, `{ type: "fd", fd: 3, ${behind} }`, withSockets([path]));
    assert.equal((await unix.ended).code, 1);
    const reason = "Cannot listen on fd:3: it is a Unix socket, and proxyProtocol is for TCP ones";
    assert.ok(unix.stdout.includes(reason), unix.stdout);
  });

  test("are warned of when no listener uses them", async (context) => {
    const program = await configured(context, "{ port: 0 }", withSockets([ANY], { names: ["door"] }));
    const { message, level } = await program.line(/LISTEN_FDS: the socket/);
    assert.equal(level, "warn");
    assert.match(message, /the socket "door" \(file descriptor 3\) .*: add \{ type: "fd", fd: 3 \} to listeners/);
  });

  test("a name that is not among them ends the broker, and is told with those there are", async (context) => {
    const program = await configured(context, '{ type: "fd", fdName: "door" }', withSockets([ANY], { names: ["x"] }));
    const { code } = await program.ended;
    assert.equal(code, 1);
    const reason =
      "Cannot listen on fd:door: of systemd's sockets none is called so, but x: FileDescriptorName= of a .socket unit gives a name";
    assert.ok(program.stdout.includes(reason), program.stdout);
  });

  test("are not taken from the environment of another process", async (context) => {
    const env = { LISTEN_PID: "1", LISTEN_FDS: "1" };
    const program = startProgram(context, ["--tcp-port", "0"], { env });
    await program.line(/^Listening on/);
    assert.match(String(listening(program)[0]), /^tcp: /);
  });
});
