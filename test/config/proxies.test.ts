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
    "1:58: listeners[0].proxyProtocol is for listeners of type tcp or tls or ws or wss or fd; this one is of type unix",
  ],
  ["{ type: 'fd', fd: 3, trustedProxies: ['::1'] }", "1:15: trustedProxies of a fd listener need proxyProtocol: true"],
  [
    "{ type: 'ws', proxyProtocol: true }",
    "1:15: proxyProtocol needs trustedProxies: a PROXY header says who a client is, so not everybody may send one",
  ],
  ["{ type: 'ws', proxyProtocol: true, trustedProxies: ['x'] }", '1:15: "x" is no address and no network'],
  [
    "{ host: '::1', interface: 'eth0' }",
    "1:15: A listener has either a host or an interface, whose addresses it follows",
  ],
  ["{ interface: 'eth0' }, { interface: 'eth0' }", "1:38: Two listeners have the interface eth0 and the port 1883"],
  ["{ type: 'fd' }", "1:15: A listener of type fd needs either fd or fdName"],
  ["{ type: 'fd', fd: 3, fdName: 'mqtt' }", "1:15: A listener of type fd needs either fd or fdName"],
  ["{ type: 'fd', fd: 2, fdName: 'a' }", "1:33: listeners[0].fd must be a whole number from 3 to 65,535, not 2"],
  ["{ type: 'fd', fd: 3 }, { type: 'fd', fd: 3 }", "1:38: Two listeners have the file descriptor 3"],
  ["{ type: 'ws', fd: 3, fdName: 'a' }", "1:15: A listener of type ws can have fd or fdName, not both"],
  [
    "{ type: 'ws', fd: 3, host: '::', port: 8083, reusePort: true }",
    "1:15: A listener on a given socket (fd) cannot have host and port and reusePort: who opened the socket has said where it listens",
  ],
  [
    "{ type: 'ws', fdName: 'a', interface: 'eth0' }",
    "1:15: A listener on a given socket (fdName) cannot have interface: who opened the socket has said where it listens",
  ],
  ["{ fd: 3 }", "1:21: listeners[0].fd is for listeners of type fd or tls or wss or ws; this one is of type tcp"],
  ["{ type: 'ws', fd: 3 }, { type: 'fd', fd: 3 }", "1:38: Two listeners have the file descriptor 3"],
  ["{ type: 'fd', fdName: 'a' }, { type: 'ws', fdName: 'a' }", "1:44: Two listeners have the file descriptor a"],
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

test("listeners: every kind on a port, and a given one, may be behind proxies", async () => {
  const behind = "proxyProtocol: true, trustedProxies: ['::1']";
  const tls = "tls: { certificates: ['a'], keys: ['b'] }, ws: { trustedProxies: ['10.0.0.0/8'] }";
  const listeners = ["tls", "ws", "wss"].map((type) => `{ type: '${type}', ${behind} }`);
  const usual = "{ type: 'ws', port: 1, proxyProtocol: true }, { type: 'ws', port: 2 }";
  const text = `{ ${tls}, listeners: [${listeners}, { type: 'fd', fd: 3, ${behind} }, ${usual}] }`;
  const settings = await settingsOf([], { [MAIN]: text });
  assert.deepEqual(
    settings.listeners.map((listener) => [listener.type, "proxies" in listener ? listener.proxies : undefined]),
    [
      ["tls", ["::1"]],
      ["ws", ["::1"]],
      ["wss", ["::1"]],
      ["fd", ["::1"]],
      ["ws", ["10.0.0.0/8"]],
      ["ws", undefined],
    ],
  );
});

test("listeners: an interface stands in for the host, and other interfaces may have the port too", async () => {
  const text = "{ bind: '::1', listeners: [{ interface: 'eth0' }, { interface: 'wlan0' }, {}] }";
  const { listeners } = await settingsOf([], { [MAIN]: text });
  assert.deepEqual(
    listeners.map((listener) => ("interface" in listener ? listener.interface : "none")),
    ["eth0", "wlan0", "none"],
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

test("listeners: tls, ws and wss have given descriptors in place of host and port, each its own", async () => {
  const tls = "tls: { certificates: ['a'], keys: ['b'] }";
  const given = ["tls", "ws", "wss"].map((type, index) => `{ type: '${type}', fd: ${index + 3} }`);
  const text = `{ ${tls}, listeners: [${given}, { type: 'ws', fdName: '3', name: 'web' }, { type: 'ws' }] }`;
  const { listeners } = await settingsOf([], { [MAIN]: text });
  assert.deepEqual(
    listeners.map((listener) => [listener.name, "given" in listener ? listener.given : undefined]),
    [
      ["tls", { fd: 3, fdName: undefined }],
      ["ws", { fd: 4, fdName: undefined }],
      ["wss", { fd: 5, fdName: undefined }],
      ["web", { fd: undefined, fdName: "3" }],
      ["ws-2", undefined],
    ],
  );
});

test("listeners: a socket of systemd that nobody serves is warned of, with its name and what to do", async () => {
  const environment = { LISTEN_PID: String(process.pid), LISTEN_FDS: "4", LISTEN_FDNAMES: "mqtt:tls:web:secure" };
  const text = "{ listeners: [{ type: 'fd', fd: 3 }, { type: 'ws', fdName: 'web' }, { type: 'ws', fd: 6 }] }";
  assert.deepEqual((await settingsOf([], { [MAIN]: text }, environment)).warnings, [
    'LISTEN_FDS: the socket "tls" (file descriptor 4) was handed over, and no listener uses it, so its clients wait in vain: add { type: "fd", fd: 4 } to listeners (or type "tls", "ws" or "wss"), or stop its .socket unit',
  ]);
  assert.deepEqual((await settingsOf([], {}, environment)).warnings, []);
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
