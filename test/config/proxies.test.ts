import assert from "node:assert/strict";
import { test } from "node:test";
import { givenSockets } from "../../src/config/given-sockets.ts";
import { headlines, load, MAIN, settingsOf } from "./loading.ts";

const COMMON = { noDelay: true, keepAliveSeconds: 0 };

for (const [entry, expected] of [
  [
    "{ proxyProtocol: true }",
    "1:15: proxyProtocol needs trustedProxies: a PROXY header says who a client is, so not everybody may send one",
  ],
  [
    "{ proxyProtocol: true, trustedProxies: [] }",
    "1:15: proxyProtocol needs trustedProxies: a PROXY header says who a client is, so not everybody may send one",
  ],
  ["{ trustedProxies: ['10.0.0.1'] }", "1:15: trustedProxies of a TCP listener need proxyProtocol: true"],
  ["{ proxyProtocol: true, trustedProxies: ['10.0.0.0/33'] }", '1:15: "10.0.0.0/33" is no address and no network'],
  ["{ proxyProtocol: true, trustedProxies: ['proxy'] }", '1:15: "proxy" is no address and no network'],
  ["{ proxyProtocol: 'v1' }", '1:32: listeners[0].proxyProtocol must be true or false, not "v1"'],
  [
    "{ type: 'unix', path: '/a', proxyProtocol: true }",
    "1:58: listeners[0].proxyProtocol is for listeners of type tcp; this one is of type unix",
  ],
  ["{ type: 'fd' }", "1:15: A listener of type fd needs either fd or fdName"],
  ["{ type: 'fd', fd: 3, fdName: 'mqtt' }", "1:15: A listener of type fd needs either fd or fdName"],
  ["{ type: 'fd', fd: 2, fdName: 'a' }", "1:33: listeners[0].fd must be a whole number from 3 to 65,535, not 2"],
  ["{ type: 'fd', fd: 3 }, { type: 'fd', fd: 3 }", "1:38: Two listeners have the file descriptor 3"],
  ["{ type: 'fd', fdName: 'a' }, { type: 'fd', fdName: 'a' }", "1:44: Two listeners have the file descriptor a"],
] as const) {
  test(`listeners: [${entry}] is refused`, async () => {
    const loaded = await load([], { [MAIN]: `{ listeners: [${entry}] }` });
    assert.deepEqual(headlines(loaded), [`mqtt-broker.json5:${expected}`]);
  });
}

test("listeners: proxies are those of one listener", async () => {
  const trusted = "['10.0.0.0/8', 'fd00::/8', '192.168.1.2']";
  const text = `{ listeners: [{ proxyProtocol: true, trustedProxies: ${trusted} }, { port: 1 }, { port: 2, proxyProtocol: false }] }`;
  const { listeners } = await settingsOf([], { [MAIN]: text });
  assert.deepEqual(
    listeners.map((listener) => (listener.type === "tcp" ? listener.proxies : listener.type)),
    [["10.0.0.0/8", "fd00::/8", "192.168.1.2"], undefined, undefined],
  );
});

test("listeners: given descriptors have a number or a name, and the socket options", async () => {
  const text = "{ listeners: [{ type: 'fd', fd: 3 }, { type: 'fd', fdName: '3', name: 'door' }] }";
  const { listeners } = await settingsOf(["--socket-no-delay=false", "--socket-keepalive-time=1m"], { [MAIN]: text });
  assert.deepEqual(listeners, [
    { name: "fd", type: "fd", fd: 3, fdName: undefined, noDelay: false, keepAliveSeconds: 60 },
    { name: "door", type: "fd", fd: undefined, fdName: "3", noDelay: false, keepAliveSeconds: 60 },
  ]);
});

test("listeners: systemd's sockets stand in for the default, and for nothing that was asked for", async () => {
  const environment = { LISTEN_PID: String(process.pid), LISTEN_FDS: "2", LISTEN_FDNAMES: "mqtt:mqtt" };
  assert.deepEqual((await settingsOf([], {}, environment)).listeners, [
    { name: "fd", type: "fd", fd: 3, fdName: undefined, ...COMMON },
    { name: "fd-2", type: "fd", fd: 4, fdName: undefined, ...COMMON },
  ]);
  const asked = await settingsOf(["--tcp-port=5"], {}, environment);
  assert.deepEqual(
    asked.listeners.map(({ type }) => type),
    ["tcp"],
  );
  const foreign = await settingsOf([], {}, { ...environment, LISTEN_PID: "1" });
  assert.deepEqual(
    foreign.listeners.map(({ type }) => type),
    ["tcp"],
  );
});

for (const [environment, expected] of [
  [{}, []],
  [{ LISTEN_PID: "7" }, []],
  [{ LISTEN_FDS: "1" }, []],
  [{ LISTEN_PID: "8", LISTEN_FDS: "1" }, []],
  [{ LISTEN_PID: "7", LISTEN_FDS: "0" }, []],
  [{ LISTEN_PID: "7", LISTEN_FDS: "-1" }, []],
  [{ LISTEN_PID: "7", LISTEN_FDS: "1x" }, []],
  [{ LISTEN_PID: "7", LISTEN_FDS: "1" }, ["3 unknown"]],
  [{ LISTEN_PID: "7", LISTEN_FDS: "3", LISTEN_FDNAMES: "a::c" }, ["3 a", "4 unknown", "5 c"]],
  [{ LISTEN_PID: "7", LISTEN_FDS: "1", LISTEN_FDNAMES: "a:b" }, ["3 a"]],
] as const) {
  test(`givenSockets(${JSON.stringify(environment)}) are [${expected.join(", ")}]`, () => {
    const sockets = givenSockets(environment, 7);
    assert.deepEqual(
      sockets.map(({ fd, name }) => `${fd} ${name}`),
      expected,
    );
  });
}

test("givenSockets() believes no number that no unit has", () => {
  assert.equal(givenSockets({ LISTEN_PID: "7", LISTEN_FDS: "999999999999" }, 7).length, 1024);
});
