import assert from "node:assert/strict";
import { test } from "node:test";
import { headlines, load, MAIN, settingsOf } from "./loading.ts";

const COMMON = { host: "::", noDelay: true, keepAliveSeconds: 0, reusePort: false };

test("WebSocket listeners have port 8083, /mqtt and /, and let in all pages, unless something else is said", async () => {
  const { listeners } = await settingsOf([], { [MAIN]: "{ listeners: [{ type: 'ws' }] }" });
  const webSocket = { path: undefined, origins: [], trustedProxies: [] };
  assert.deepEqual(listeners, [{ ...COMMON, name: "ws", type: "ws", port: 8083, webSocket }]);
});

test("WebSocket listeners take from the options what they do not say themselves", async () => {
  const own = "path: '/own', origins: ['HTTPS://Example.org:443/', 'app://page'], trustedProxies: ['fd00::/8']";
  const text = `{ listeners: [{ type: 'ws', port: 1 }, { type: 'ws', port: 2, ${own} }, { type: 'ws', port: 3, origins: [] }] }`;
  const options = ["--ws-path=/all", "--ws-origin=http://[::1]:80", "--ws-origin=https://a.example:444"];
  const { listeners } = await settingsOf([...options, "--ws-trusted-proxy=127.0.0.1"], { [MAIN]: text });
  const all = { path: "/all", origins: ["http://[::1]", "https://a.example:444"], trustedProxies: ["127.0.0.1"] };
  assert.deepEqual(
    listeners.map((listener) => "webSocket" in listener && listener.webSocket),
    [
      all,
      { path: "/own", origins: ["https://example.org", "app://page"], trustedProxies: ["fd00::/8"] },
      { ...all, origins: [] },
    ],
  );
});

test("--ws-port stands beside other listeners, and no two may have one port", async () => {
  const { listeners } = await settingsOf(["--ws-port=8083", "--tcp-port=1883", "--ws-port=8084"]);
  assert.deepEqual(
    listeners.map(({ name }) => name),
    ["tcp", "ws", "ws-2"],
  );
  assert.deepEqual(headlines(await load(["--ws-port=5", "--tcp-port=5"])), [
    "--ws-port: Two listeners have the host :: and the port 5",
  ]);
});

for (const [words, said] of [
  ["path: 'mqtt'", '"mqtt" is no path of a URL'],
  ["path: '/a?b'", '"/a?b" is no path of a URL'],
  ["origins: ['*']", '"*" is no origin of a page'],
  ["origins: ['https://a.example/page']", '"https://a.example/page" is no origin of a page'],
  ["origins: ['example.org']", '"example.org" is no origin of a page'],
  ["trustedProxies: ['10.0.0.0/33']", '"10.0.0.0/33" is no address and no network'],
  ["trustedProxies: ['proxy']", '"proxy" is no address and no network'],
] as const) {
  test(`a WebSocket listener with ${words} is refused with its place`, async () => {
    const texts = { [MAIN]: `{ listeners: [{ type: 'ws', ${words} }] }` };
    assert.deepEqual(headlines(await load([], texts)), [`mqtt-broker.json5:1:15: ${said}`]);
  });
}

test("lists of a WebSocket listener are lists of texts", async () => {
  const text = "{ listeners: [{ type: 'ws', origins: 'https://a.example', trustedProxies: [7] }] }";
  assert.deepEqual(headlines(await load([], { [MAIN]: text })), [
    'mqtt-broker.json5:1:38: listeners[0].origins must be a list in square brackets, not "https://a.example"',
    "mqtt-broker.json5:1:76: listeners[0].trustedProxies[0] must be a text, not 7",
  ]);
});
