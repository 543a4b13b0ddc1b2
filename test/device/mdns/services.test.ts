import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { hostLabel, instanceName, numberedHost, numberedInstance } from "../../../device/mdns/names.ts";
import { isServedAt, type Listening, listeningAt, servicesOf } from "../../../device/mdns/services.ts";

const SELF = { name: "Edge", id: "gw-1", version: "0.1" };
const ANYWHERE = { address: "::" };

function typesAndNames(listening: readonly Listening[]): string[] {
  return servicesOf(listening, SELF).map(({ type, name, port }) => `${type} ${name} ${port}`);
}

suite("what is advertised", () => {
  test("each way in has the type that clients look for", () => {
    const ways = ["tcp", "tls", "ws", "mqtt-sn-udp", "http"].map((transport, index) => ({
      name: transport,
      transport,
      port: index + 1,
      ...ANYWHERE,
    }));
    assert.deepEqual(typesAndNames(ways), [
      "_mqtt._tcp Edge 1",
      "_secure-mqtt._tcp Edge 2",
      "_mqtt-ws._tcp Edge 3",
      "_mqtt-sn._udp Edge 4",
      "_http._tcp Edge 5",
    ]);
  });

  test("of each type one is the default, and a further one has its listener's name", () => {
    const ways = [
      { name: "tcp", transport: "tcp", port: 1883, ...ANYWHERE },
      { name: "plant", transport: "tcp", port: 1884, ...ANYWHERE },
      { name: "ws", transport: "ws", port: 8083, path: "/mqtt", ...ANYWHERE },
      { name: "wss", transport: "wss", port: 8084, path: "/mqtt", ...ANYWHERE },
    ];
    assert.deepEqual(typesAndNames(ways), [
      "_mqtt._tcp Edge 1883",
      "_mqtt._tcp Edge plant 1884",
      "_mqtt-ws._tcp Edge 8083",
      "_mqtt-ws._tcp Edge wss 8084",
    ]);
  });

  test("what nobody else can reach, or nobody looks for, is not advertised", () => {
    const at = (address: string, transport = "tcp"): Listening => ({ name: address, transport, address, port: 1883 });
    const ways = [
      ...["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "localhost"].map((address) => at(address)),
      ...["unix", "quic", "fd", "constructor"].map((transport) => at("::", transport)),
    ];
    assert.deepEqual(typesAndNames(ways), []);
    assert.deepEqual(typesAndNames([...ways, at("192.0.2.1")]), ["_mqtt._tcp Edge 1883"]);
  });

  test("listeners that differ in their address alone are one service", () => {
    const at = (address: string): Listening => ({ name: address, transport: "tcp", address, port: 1883 });
    const [one, ...others] = servicesOf([at("192.0.2.1"), at("192.0.2.1"), at("fe80::1%eth0")], SELF);
    assert.deepEqual(others, []);
    assert.deepEqual(one?.addresses, ["192.0.2.1", "fe80::1%eth0"]);
  });

  test("TXT says how to connect", () => {
    const ways = [
      { name: "tls", transport: "tls", port: 8883, auth: ["password", "cert"], fingerprint: "ab12", ...ANYWHERE },
      { name: "ws", transport: "ws", port: 8083, path: "/mqtt", versions: ["5"], fingerprint: "ab12", ...ANYWHERE },
      { name: "sn", transport: "mqtt-sn-udp", port: 1884, ...ANYWHERE },
      { name: "http", transport: "http", port: 8080, path: "/", ...ANYWHERE },
    ];
    assert.deepEqual(
      servicesOf(ways, SELF).map(({ txt }) => txt.join(" ")),
      [
        "txtvers=1 proto=3.1.1,5 tls=1 auth=password,cert fp=ab12 id=gw-1 ver=0.1",
        "txtvers=1 proto=5 tls=0 path=/mqtt id=gw-1 ver=0.1",
        "txtvers=1 proto=1.2 tls=0 id=gw-1 ver=0.1",
        "txtvers=1 tls=0 path=/ id=gw-1 ver=0.1",
      ],
    );
  });

  test("TXT stays within 255 bytes a key and 1300 in all: what matters least is left out", () => {
    const long = (bytes: number): string => "é".repeat(bytes / 2);
    const way = { name: "ws", transport: "wss", port: 1, ...ANYWHERE };
    const [tooLong] = servicesOf([{ ...way, path: long(252) }], SELF);
    assert.equal(
      tooLong?.txt.some((text) => text.startsWith("path=")),
      false,
    );
    const [longest] = servicesOf([{ ...way, path: long(250) }], SELF);
    assert.equal(longest?.txt[3], `path=${long(250)}`);
    const full = { ...way, path: long(250), auth: [long(250)], versions: [long(248)], fingerprint: long(252) };
    const [all] = servicesOf([full], { name: "Edge", id: long(252), version: long(250) });
    const keys = all?.txt.map((text) => text.slice(0, text.indexOf("=")));
    assert.deepEqual(keys, ["txtvers", "proto", "tls", "path", "auth", "fp", "id"]);
  });

  test("the URL of a listener says where it listens", () => {
    assert.deepEqual(listeningAt("tcp", "tcp://[::]:1883"), [
      { name: "tcp", transport: "tcp", address: "::", port: 1883, path: undefined },
    ]);
    assert.deepEqual(
      listeningAt("lan", "wss://192.0.2.1:8084/a and wss://[fe80::1%eth0]:8084/a").map((way) => Object.values(way)),
      [
        ["lan", "wss", "192.0.2.1", 8084, "/a"],
        ["lan", "wss", "fe80::1%eth0", 8084, "/a"],
      ],
    );
    for (const url of [
      "unix:/run/mqtt.sock",
      "fd:3",
      "tcp:",
      "interface eth0, which has no address yet",
      "quic://[::]:1",
    ]) {
      assert.deepEqual(listeningAt("x", url), [], url);
    }
  });

  test("who comes to an address comes to what is bound there", () => {
    assert.equal(isServedAt(["::"], "192.0.2.1"), true);
    assert.equal(isServedAt(["::"], "fe80::1"), true);
    assert.equal(isServedAt(["0.0.0.0"], "192.0.2.1"), true);
    assert.equal(isServedAt(["0.0.0.0"], "fe80::1"), false);
    assert.equal(isServedAt(["192.0.2.1"], "192.0.2.2"), false);
    assert.equal(isServedAt(["192.0.2.9", "fe80::1%eth0"], "fe80::1"), true);
  });
});

suite("names", () => {
  test("an instance name is one label of 63 bytes, which keeps what tells it from others", () => {
    assert.equal(instanceName("Edge v1.2\n"), "Edge v1-2-");
    assert.equal(instanceName(" "), "mqtt-broker");
    assert.equal(instanceName("x".repeat(64)), "x".repeat(63));
    assert.equal(numberedInstance("é".repeat(40), 1), "é".repeat(31));
    assert.equal(numberedInstance("é".repeat(40), 12), `${"é".repeat(29)} (12)`);
    assert.equal(instanceName("🙂".repeat(20)), "🙂".repeat(15));
  });

  test("a host name is made of what DNS can carry", () => {
    assert.equal(hostLabel("Küche 1"), "kuche-1");
    assert.equal(hostLabel("--"), "mqtt-broker");
    assert.equal(hostLabel("日本"), "mqtt-broker");
    assert.equal(hostLabel(`${"a".repeat(62)} b`), "a".repeat(62));
    assert.equal(numberedHost("edge", 1), "edge");
    assert.equal(numberedHost("edge", 2), "edge-2");
    assert.equal(numberedHost("a".repeat(63), 10), `${"a".repeat(60)}-10`);
  });
});
