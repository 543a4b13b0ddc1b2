import assert from "node:assert/strict";
import { test } from "node:test";
import { Networks } from "../../src/transport/networks.ts";

test("networks have what is within their bits, IPv4-mapped and zoned addresses too", () => {
  const networks = new Networks(["10.0.0.0/8", "192.168.1.2", "fe80::/10", "2001:db8::7"]);
  const within = ["10.255.0.1", "::ffff:10.0.0.1", "192.168.1.2", "fe80::1%eth0", "febf::1", "2001:db8::7"];
  const outside = ["11.0.0.1", "192.168.1.3", "::ffff:11.0.0.1", "fec0::1", "2001:db8::8", "", "proxy", "10.0.0"];
  assert.deepEqual(
    within.filter((address) => networks.has(address)),
    within,
  );
  assert.deepEqual(
    outside.filter((address) => networks.has(address)),
    [],
  );
});

test("no networks have nobody", () => {
  assert.equal(new Networks([]).has("127.0.0.1"), false);
});

test("what is no network is refused by name", () => {
  for (const text of ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8/8", "fe80::/129", "fe80::1%eth0", "proxy"]) {
    const message = `${JSON.stringify(text)} is no address and no network such as 10.0.0.0/8`;
    assert.throws(() => new Networks([text]), { name: "RangeError", message });
  }
});
