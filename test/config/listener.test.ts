import assert from "node:assert/strict";
import { test } from "node:test";
import { headlines, load, MAIN, settingsOf, tcpListeners } from "./loading.ts";

for (const [argv, expected] of [
  [[], ["tcp :: 1883"]],
  [["--bind=127.0.0.1"], ["tcp 127.0.0.1 1883"]],
  [["--tcp-port=0"], ["tcp :: 0"]],
  [
    ["--tcp-port=0", "--tcp-port=0"],
    ["tcp :: 0", "tcp-2 :: 0"],
  ],
  [["--addr=:1884"], ["tcp :: 1884"]],
  [["--addr=:1884", "--bind=::1"], ["tcp ::1 1884"]],
  [
    ["--addr=localhost:1884", "--bind=::1", "--tcp-port=1"],
    ["tcp ::1 1", "tcp-2 localhost 1884"],
  ],
  [["--addr=[::1]:5"], ["tcp ::1 5"]],
] as const) {
  test(`listeners of ${argv.join(" ") || "no options"}: ${expected.join(", ")}`, async () => {
    const listeners = tcpListeners(await settingsOf(argv));
    assert.deepEqual(
      listeners.map(({ name, host, port }) => `${name} ${host} ${port}`),
      expected,
    );
  });
}

test("listeners: those of the file get bind and socket options where they name none", async () => {
  const texts = { [MAIN]: "{ listeners: [{}, { name: 'tcp', host: '::1', noDelay: true }] }" };
  const argv = ["--bind=127.0.0.1", "--socket-no-delay=false", "--socket-keepalive-time=1m", "--socket-reuseport"];
  assert.deepEqual((await settingsOf(argv, texts)).listeners, [
    {
      name: "tcp-2",
      type: "tcp",
      host: "127.0.0.1",
      port: 1883,
      noDelay: false,
      keepAliveSeconds: 60,
      reusePort: true,
    },
    { name: "tcp", type: "tcp", host: "::1", port: 1883, noDelay: true, keepAliveSeconds: 60, reusePort: true },
  ]);
});

test("listeners: two of one address are refused unless both share the port", async () => {
  assert.deepEqual(headlines(await load(["--tcp-port=5", "--addr=[::]:5"])), [
    "--addr: Two listeners have the host :: and the port 5",
  ]);
  assert.equal((await settingsOf(["--tcp-port=5", "--tcp-port=5", "--socket-reuseport"])).listeners.length, 2);
});

test("listeners: options in the environment and on the command line stand together", async () => {
  const listeners = tcpListeners(await settingsOf(["--addr=:2"], {}, { MQTT_BROKER_TCP_PORT: "1" }));
  assert.deepEqual(
    listeners.map(({ port }) => port),
    [1, 2],
  );
});

test("listeners: what is wrong with those of a file does not matter where options replace them", async () => {
  const listeners = tcpListeners(await settingsOf(["--tcp-port=0"], { [MAIN]: "{ listeners: [{ type: 'quic' }] }" }));
  assert.deepEqual(
    listeners.map(({ port }) => port),
    [0],
  );
});

test("listeners: --unix-socket replaces those of the file and stands beside other options", async () => {
  const argv = ["--unix-socket=run/a.sock", "--tcp-port=0", "--unix-socket", "/b.sock", "--unix-socket=@c"];
  const { listeners, sources } = await settingsOf(argv, { [MAIN]: "{ listeners: [{ port: 5 }] }" });
  const unix = { type: "unix", mode: undefined, owner: undefined, group: undefined };
  assert.deepEqual(listeners.slice(1), [
    { ...unix, name: "unix", path: "/base/run/a.sock" },
    { ...unix, name: "unix-2", path: "/b.sock" },
    { ...unix, name: "unix-3", path: "@c" },
  ]);
  assert.equal(listeners[0]!.type, "tcp");
  assert.equal(sources.get("listeners"), "--tcp-port, --unix-socket, --unix-socket, --unix-socket");
  assert.equal(sources.get("unix-socket"), undefined);
});

test("listeners: a Unix socket of a file starts from the file's directory, with rights, and takes no socket option", async () => {
  const { listeners } = await settingsOf(["--config=/etc/mqtt/main.json5", "--bind=::1"], {
    "/etc/mqtt/main.json5":
      "{ listeners: [{ type: 'unix', name: 'door', path: 'm.sock', mode: '0600', owner: 'root', group: 20 }, {}] }",
    "/etc/mqtt/conf.d/10.json5": "{ listeners: [{ type: 'unix', path: 'm.sock', mode: '777' }] }",
  });
  assert.deepEqual(
    listeners.filter(({ type }) => type === "unix"),
    [
      { name: "door", type: "unix", path: "/etc/mqtt/m.sock", mode: 0o600, owner: "root", group: "20" },
      { name: "unix", type: "unix", path: "/etc/mqtt/conf.d/m.sock", mode: 0o777, owner: undefined, group: undefined },
    ],
  );
  assert.equal(listeners.length, 3);
});

test("listeners: MQTT_BROKER_UNIX_SOCKET names one too", async () => {
  const { listeners } = await settingsOf([], {}, { MQTT_BROKER_UNIX_SOCKET: "m.sock" });
  assert.deepEqual(
    listeners.map((listener) => (listener.type === "unix" ? listener.path : listener.type)),
    ["/base/m.sock"],
  );
});
