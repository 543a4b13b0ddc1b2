import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { ClientIdPatterns, FromConditions, parseFrom } from "../../../src/auth/rules/from.ts";
import type { Peer } from "../../../src/core/ports.ts";

function peer(address: string, more: Partial<Peer> = {}): Peer {
  return { address, local: false, listener: "lan", transport: "tcp", ...more };
}

suite("from: what is right and what is wrong with it", () => {
  for (const text of [
    "local",
    "192.168.1.7",
    "192.168.1.0/24",
    "0.0.0.0/0",
    "10.0.0.1/32",
    "fe80::1",
    "::1",
    "fd00::/8",
    "::/0",
    "2001:db8:0:0:0:0:0:1/128",
    "listener:main",
    "listener:a/b: c",
    "transport:tcp",
    "transport:mqtt-sn",
  ]) {
    test(`${text} is right`, () => assert.equal(parseFrom(text), undefined));
  }

  for (const [text, mistake] of [
    ["", "is empty"],
    ["localhost", 'is no address: write "local"'],
    ["192.168.1", "is no whole address: write a network as 192.168.1.0/24"],
    ["192.168.1.*", "is no whole address: write a network as 192.168.1.0/24"],
    ["192.168.1.7:1883", "is to be written without brackets and port"],
    ["[fe80::1]:1883", "is to be written without brackets and port"],
    ["fe80::1%eth0", 'has a zone: write it without "%eth0"'],
    ["::ffff:192.168.1.7", "is an IPv4 address in IPv6 form: write it as 192.168.1.7"],
    ["::ffff:0:0/96", "is an IPv4 network in IPv6 form: write it as 192.168.1.0/24"],
    ["192.168.1.0/33", "needs a number from 0 to 32 behind the slash"],
    ["192.168.1.0/", "needs a number from 0 to 32 behind the slash"],
    ["192.168.1.0/255.255.255.0", "needs a number from 0 to 32 behind the slash"],
    ["fd00::/129", "needs a number from 0 to 128 behind the slash"],
    ["kitchen/24", "has no address before the slash"],
    ["192.168.1.7/24", "is no network: bits behind the first 24 are set; for this one host leave out /24"],
    ["fd00::1:0/64", "is no network: bits behind the first 64 are set; for this one host leave out /64"],
    ["listener:", "has no listener's name behind the colon"],
    ["transport:tsl", 'names no transport (did you mean "transport:tls"?)'],
  ] as const) {
    test(`${JSON.stringify(text)} is wrong`, () => assert.equal(parseFrom(text), mistake));
  }

  test("a name of a host is wrong", () => {
    assert.equal(parseFrom("gateway.local"), "is no address, and names of hosts are not looked up");
  });
});

suite("from: whom it matches", () => {
  for (const [conditions, client, expected] of [
    [["local"], peer("127.0.0.1:5", { local: true }), true],
    [["local"], peer("/run/mqtt.sock", { local: true, transport: "unix" }), true],
    [["local"], peer("192.168.1.7:5"), false],
    [["192.168.1.7"], peer("192.168.1.7:50312"), true],
    [["192.168.1.7"], peer("192.168.1.70:5"), false],
    [["192.168.1.7"], peer("[::ffff:192.168.1.7]:5"), true],
    [["192.168.1.0/24"], peer("192.168.1.255:5"), true],
    [["192.168.1.0/24"], peer("192.168.2.0:5"), false],
    [["192.168.1.4/30"], peer("192.168.1.7:5"), true],
    [["192.168.1.4/30"], peer("192.168.1.8:5"), false],
    [["0.0.0.0/0"], peer("[2001:db8::1]:5"), false],
    [["::/0"], peer("1.2.3.4:5"), false],
    [["::/0"], peer("[2001:db8::1]:5"), true],
    [["fe80::1"], peer("[fe80::1%eth0]:5"), true],
    [["fe80:0:0::0:1"], peer("[fe80::1]:5"), true],
    [["fd00::/8"], peer("[fdff::1]:5"), true],
    [["fd00::/8"], peer("[fe00::1]:5"), false],
    [["192.168.1.0/24", "10.0.0.1"], peer("10.0.0.1:5"), true],
    [["listener:lan"], peer("1.2.3.4:5"), true],
    [["listener:lan"], peer("1.2.3.4:5", { listener: "lan2" }), false],
    [["transport:tls"], peer("1.2.3.4:5", { transport: "tls" }), true],
    [["transport:tls"], peer("1.2.3.4:5"), false],
    [["transport:tls", "local"], peer("1.2.3.4:5", { local: true }), true],
    [["0.0.0.0/0", "::/0"], peer("/run/mqtt.sock", { transport: "unix" }), false],
    [["0.0.0.0/0", "::/0"], peer("", { transport: "stream" }), false],
    [["1.2.3.4"], peer("1.2.3.4"), true],
  ] as const) {
    test(`${conditions.join(", ")}: ${client.address} by ${client.transport}: ${expected}`, () => {
      assert.equal(new FromConditions(conditions).matches(client), expected);
    });
  }

  test("networks are what a comparison of bits says", () => {
    let state = 7;
    const below = (limit: number): number => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      return Math.floor(state / 65_536) % limit;
    };
    const address = (): number => ((192 << 24) | (168 << 16) | (below(4) << 8) | below(256)) >>> 0;
    const text = (bits: number): string => [24, 16, 8, 0].map((shift) => (bits >>> shift) & 255).join(".");
    let matched = 0;
    for (let round = 0; round < 2000; round++) {
      const length = 14 + below(19);
      const mask = (0xffff_ffff << (32 - length)) >>> 0;
      const [network, client] = [(address() & mask) >>> 0, address()];
      const expected = (client & mask) >>> 0 === network;
      const condition = `${text(network)}/${length}`;
      assert.equal(parseFrom(condition), undefined, condition);
      assert.equal(new FromConditions([condition]).matches(peer(`${text(client)}:1`)), expected, condition);
      if (expected) matched++;
    }
    assert.ok(matched > 100 && matched < 1900, `${matched} of 2000 matched`);
  });
});

suite("patterns of client identifiers", () => {
  for (const [patterns, text, expected] of [
    [["c1"], "c1", true],
    [["c1"], "c12", false],
    [["*"], "", true],
    [["*"], "anything/at#all", true],
    [["sensor-*"], "sensor-", true],
    [["sensor-*"], "Sensor-1", false],
    [["*-1"], "sensor-1", true],
    [["*-1"], "sensor-1x", false],
    [["a*b*c"], "aXbYc", true],
    [["a*b*c"], "abc", true],
    [["a*b*c"], "acb", false],
    [["a*bc*bc"], "abc", false],
    [["a*bc*bc"], "abcbc", true],
    [["aba*aba"], "aba", false],
    [["aba*aba"], "ababa", false],
    [["aba*aba"], "abaaba", true],
    [["a**b"], "ab", true],
    [["a.c"], "abc", false],
    [["x", "y*"], "yes", true],
    [[], "", false],
  ] as const) {
    test(`${patterns.join(", ")}: ${JSON.stringify(text)}: ${expected}`, () => {
      assert.equal(new ClientIdPatterns(patterns).matches(text), expected);
    });
  }

  test("they are what a regular expression says", () => {
    for (const pattern of words(["", "a", "b", "*"], 5)) {
      const expression = new RegExp(`^${pattern.replaceAll("*", ".*")}$`);
      const patterns = new ClientIdPatterns([pattern]);
      for (const text of words(["", "a", "b"], 4)) {
        assert.equal(patterns.matches(text), expression.test(text), `${pattern} ${text}`);
      }
    }
  });

  test("a pattern made to take long does not", () => {
    const patterns = new ClientIdPatterns([`${"*a".repeat(5000)}*b`]);
    assert.equal(patterns.matches("a".repeat(60_000)), false);
  });
});

/** All texts of up to `length` of the letters. */
function words(letters: readonly string[], length: number): Set<string> {
  let found = new Set([""]);
  for (let at = 0; at < length; at++) {
    found = new Set([...found].flatMap((word) => letters.map((letter) => word + letter)));
  }
  return found;
}
