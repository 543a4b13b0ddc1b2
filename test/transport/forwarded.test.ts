import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ForwardedPeers, unixPeerOf } from "../../src/transport/forwarded.ts";

const TRUSTED = ["127.0.0.1", "10.0.0.0/8", "2001:db8:1::/48"];

describe("ForwardedPeers", () => {
  for (const [from, forwarded, address] of [
    // Nobody in between, or nobody who is trusted.
    ["192.0.2.7", undefined, "192.0.2.7:5000"],
    ["192.0.2.7", "203.0.113.9", "192.0.2.7:5000"],
    ["11.0.0.1", "203.0.113.9", "11.0.0.1:5000"],
    // One proxy, or several, of which the last is next to us; what stands before an untrusted one is anybody's claim.
    ["127.0.0.1", "203.0.113.9", "203.0.113.9"],
    ["::ffff:127.0.0.1", "203.0.113.9", "203.0.113.9"],
    ["10.1.2.3", "198.51.100.1, 203.0.113.9", "203.0.113.9"],
    ["127.0.0.1", "198.51.100.1, 203.0.113.9,10.9.9.9", "203.0.113.9"],
    ["2001:db8:1::5", "2001:db8:2::7", "2001:db8:2::7"],
    ["2001:db8:1::5", "[2001:db8:2::7]:6000", "[2001:db8:2::7]:6000"],
    ["127.0.0.1", "203.0.113.9:6000", "203.0.113.9:6000"],
    // A proxy that says nothing, or nothing that can be understood, stands for itself.
    ["127.0.0.1", undefined, "127.0.0.1:5000"],
    ["127.0.0.1", "", "127.0.0.1:5000"],
    ["127.0.0.1", "203.0.113.9, unknown", "127.0.0.1:5000"],
    ["127.0.0.1", "203.0.113.9, 10.0.0.8", "203.0.113.9"],
    ["127.0.0.1", "10.0.0.8", "10.0.0.8"],
    ["127.0.0.1", "_hidden, 10.0.0.8", "10.0.0.8"],
    ["127.0.0.1", "1.2.3.4.5", "127.0.0.1:5000"],
    ["127.0.0.1", "203.0.113.9:123456", "127.0.0.1:5000"],
  ] as const) {
    it(`takes ${from} with ${forwarded ?? "no header"} for ${address}`, () => {
      const headers = forwarded === undefined ? {} : { "x-forwarded-for": forwarded };
      assert.equal(new ForwardedPeers(TRUSTED).of(from, 5000, headers).address, address);
    });
  }

  for (const [title, headers, trusted, local] of [
    ["a program", {}, [], true],
    ["a program while other proxies are trusted", {}, ["10.0.0.1"], true],
    ["a trusted proxy without a header", {}, ["127.0.0.1"], false],
    ["a trusted proxy for a client that says it is local", { "x-forwarded-for": "127.0.0.1" }, ["127.0.0.1"], false],
    ["a proxy that nobody trusts", { "x-forwarded-for": "203.0.113.9" }, [], false],
    ["a proxy with another header", { via: "1.1 squid" }, [], false],
    ["a page of this machine", { origin: "http://localhost:3000" }, [], true],
    ["a page of this machine by address", { origin: "http://[::1]:3000" }, [], true],
    ["a page of the Web", { origin: "https://evil.example" }, [], false],
    ["a page of a name that only looks local", { origin: "http://localhost.evil.example" }, [], false],
    ["a page without an origin", { origin: "null" }, [], false],
  ] as const) {
    it(`takes ${title} on a loopback address for ${local ? "local" : "not local"}`, () => {
      assert.equal(new ForwardedPeers(trusted).of("127.0.0.1", 5000, headers).local, local);
    });
  }

  it("takes nobody from elsewhere for local", () => {
    assert.equal(new ForwardedPeers([]).of("192.0.2.7", 5000, {}).local, false);
  });

  for (const text of ["", "proxy.example", "10.0.0.0/33", "10.0.0.0/", "::/129", "10.0.0.1:80"]) {
    it(`refuses ${JSON.stringify(text)} as a proxy, by its name`, () => {
      assert.throws(() => new ForwardedPeers([text]), {
        name: "RangeError",
        message: `${JSON.stringify(text)} is no address and no network such as 10.0.0.0/8`,
      });
    });
  }
});

describe("unixPeerOf()", () => {
  for (const [headers, local] of [
    [{}, true],
    [{ origin: "http://localhost:8080" }, true],
    [{ origin: "https://example.org" }, false],
    [{ "x-forwarded-for": "127.0.0.1" }, false],
    [{ via: "1.1 proxy" }, false],
  ] as const) {
    it(`${JSON.stringify(headers)} is ${local ? "" : "not "}of this machine`, () => {
      assert.deepEqual(unixPeerOf("/run/web.sock", headers), { address: "/run/web.sock", local });
    });
  }
});
