import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatAddress, isLoopback } from "../../src/transport/address.ts";

describe("addresses", () => {
  it("are shown with their port, IPv6 in brackets, IPv4-mapped as IPv4", () => {
    assert.equal(formatAddress("192.168.1.7", 1883), "192.168.1.7:1883");
    assert.equal(formatAddress("fe80::1%eth0", 1883), "[fe80::1%eth0]:1883");
    assert.equal(formatAddress("::ffff:10.0.0.1", 1), "10.0.0.1:1");
    assert.equal(formatAddress("localhost", 0), "localhost:0");
  });

  it("are local only on the loopback interface", () => {
    const local = ["127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1", "::FFFF:127.1.2.3"];
    const remote = ["128.0.0.1", "1270.0.0.1", "127.0.0.1.example.org", "::2", "::ffff:10.0.0.1", "::", "0.0.0.0", ""];
    assert.deepEqual(local.filter(isLoopback), local);
    assert.deepEqual(remote.filter(isLoopback), []);
  });
});
