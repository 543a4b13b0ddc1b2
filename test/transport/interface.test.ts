import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import type { Listener } from "../../src/core/ports.ts";
import { InterfaceListener } from "../../src/transport/interface.ts";
import { TcpListener } from "../../src/transport/tcp.ts";
import { Turn } from "../../src/transport/turn.ts";
import { Heard, until } from "./rig.ts";
import { connectTo, portOf } from "./tcp-rig.ts";
import { NotedLog } from "./tls-rig.ts";

describe("a listener on an interface", () => {
  let addresses: string[] = [];
  const log = new NotedLog();
  const turn = new Turn();
  const heards: Heard[] = [];
  const made: Listener[] = [];
  const opened: InterfaceListener[] = [];
  afterEach(async () => {
    for (const listener of opened.splice(0)) await listener.close();
    for (const list of [addresses, log.lines, heards, made]) list.length = 0;
  });

  function make(host: string, port = 0): Listener {
    const listener = new TcpListener({ name: "main", host, port, turn });
    made.push(listener);
    return listener;
  }

  async function listen(port = 0, lookMs = 5): Promise<InterfaceListener> {
    const listener = new InterfaceListener({
      name: "main",
      interface: "far0",
      make: (host) => make(host, port),
      log,
      lookMs,
      addressesOf: (name) => (name === "far0" ? addresses : []),
    });
    opened.push(listener);
    await listener.listen(() => {
      heards.push(new Heard());
      return heards.at(-1)!;
    });
    return listener;
  }

  it("listens on each of its addresses, and says where", async () => {
    addresses = ["127.0.0.1", "127.0.0.2", "::1"];
    const listener = await listen();
    const [one, two, three] = made.map(portOf);
    assert.equal(listener.url, `tcp://127.0.0.1:${one} and tcp://127.0.0.2:${two} and tcp://[::1]:${three}`);
    for (const [host, port] of [
      ["127.0.0.1", one],
      ["127.0.0.2", two],
      ["::1", three],
    ] as const) {
      (await connectTo({ host, port: port! })).destroy();
    }
    await until("all were accepted", () => heards.length === 3);
    assert.deepEqual(log.lines, []);
  });

  it("goes on where it listens while the system tells no addresses, and says so once", async () => {
    addresses = ["127.0.0.1"];
    let asked = 0;
    let isTold = true;
    const listener = new InterfaceListener({
      name: "main",
      interface: "far0",
      make,
      log,
      lookMs: 5,
      addressesOf: () => {
        asked++;
        if (isTold) return addresses;
        throw new Error("EMFILE");
      },
    });
    opened.push(listener);
    await listener.listen(() => new Heard());
    isTold = false;
    const before = asked;
    await until("it has asked three times", () => asked >= before + 3);
    assert.deepEqual(
      log.lines.map((line) =>
        JSON.stringify(line).includes("The addresses of far0 cannot be asked for: EMFILE. It is"),
      ),
      [true],
    );
    isTold = true;
    addresses = ["127.0.0.1", "127.0.0.2"];
    await until("it listens on the other too", () => made.length === 2 && log.lines.length === 2);
    assert.equal(listener.url, `tcp://127.0.0.1:${portOf(made[0]!)} and tcp://127.0.0.2:${portOf(made[1]!)}`);
  });

  it("serves an address when it appears, and leaves it when it is gone; who came by it stays", async () => {
    const listener = await listen();
    assert.equal(listener.url, "interface far0, which has no address yet");
    addresses = ["127.0.0.2"];
    await until("it listens", () => log.lines.length === 1);
    const port = portOf(made[0]!);
    const client = await connectTo({ host: "127.0.0.2", port });
    await until("it was accepted", () => heards.length === 1);
    addresses = ["127.0.0.3"];
    await until("it listens elsewhere", () => log.lines.length === 3);
    assert.deepEqual(log.messages("info"), [
      `Listening on tcp://127.0.0.2:${port}`,
      `Listening no more on tcp://127.0.0.2:${port}: the interface has this address no more`,
      `Listening on tcp://127.0.0.3:${portOf(made[1]!)}`,
    ]);
    await assert.rejects(connectOnce("127.0.0.2", port));
    client.write("still here");
    await until("it was heard", () => heards[0]!.size === 10);
    client.destroy();
  });

  it("does not start when an address that is there cannot be listened on, and holds none of the others", async () => {
    const rival = new TcpListener({ name: "rival", host: "127.0.0.2", port: 0, turn });
    await rival.listen(() => new Heard());
    const port = portOf(rival);
    addresses = ["127.0.0.1", "127.0.0.2"];
    const message = `Cannot listen on tcp://127.0.0.2:${port}: the port is in use by another program`;
    await assert.rejects(listen(port), { message });
    await assert.rejects(connectOnce("127.0.0.1", port));
    await rival.close();
  });

  it("tries an address that cannot be listened on later again and again, and says so once", async () => {
    const rival = new TcpListener({ name: "rival", host: "127.0.0.2", port: 0, turn });
    await rival.listen(() => new Heard());
    const port = portOf(rival);
    await listen(port);
    addresses = ["127.0.0.2"];
    await until("it was tried often", () => made.length >= 3);
    const message = `Cannot listen on tcp://127.0.0.2:${port}: the port is in use by another program. It is tried again`;
    assert.deepEqual(log.messages("warn"), [message]);
    await rival.close();
    await until("it listens", () => log.messages("info").length === 1);
  });

  it("waits without a word for an address that is not ready, and serves the others meanwhile", async () => {
    // 192.0.2.0/24 is for documentation: nobody has it.
    addresses = ["192.0.2.1", "127.0.0.1"];
    const listener = await listen();
    assert.match(listener.url, /^tcp:\/\/127\.0\.0\.1:\d+$/);
    await until("it was tried again", () => made.length >= 4);
    assert.deepEqual(log.lines, []);
  });

  it("close() ends all of it, also while it waits", async () => {
    addresses = ["127.0.0.1"];
    const listener = await listen();
    const port = portOf(made[0]!);
    await listener.close();
    addresses = ["127.0.0.2"];
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.equal(made.length, 1);
    await assert.rejects(connectOnce("127.0.0.1", port));
  });
});

/** Rejects when nobody listens there. */
async function connectOnce(host: string, port: number): Promise<void> {
  const { connect } = await import("node:net");
  await new Promise<void>((resolve, reject) => {
    const socket = connect({ host, port });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.destroy();
      resolve();
    });
  });
}
