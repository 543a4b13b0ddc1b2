import assert from "node:assert/strict";
import type { NetworkInterfaceInfo } from "node:os";
import { test } from "node:test";
import { lastingAddresses } from "../../src/certs/machine.ts";

function at(...addresses: string[]): NetworkInterfaceInfo[] {
  const rest = { netmask: "", mac: "00:00:00:00:00:00", internal: false, cidr: null };
  return addresses.map((address) =>
    address.includes(":") ? { address, family: "IPv6", scopeid: 0, ...rest } : { address, family: "IPv4", ...rest },
  );
}

test("addresses of containers' interfaces are left out, and those of others with such names are not", () => {
  const interfaces = {
    lo: at("127.0.0.1"),
    eth0: at("192.168.1.7"),
    "br-lan": at("192.168.2.1"),
    docker0: at("172.17.0.1"),
    "br-0123456789ab": at("172.18.0.1"),
    veth1a2b: at("fe80::1"),
    virbr0: at("192.168.122.1"),
    wlan0: undefined,
  };
  assert.deepEqual(lastingAddresses(interfaces, ""), ["127.0.0.1", "192.168.1.7", "192.168.2.1"]);
});

test("temporary addresses of IPv6 are left out, by Linux' own list", () => {
  const inet6 = [
    "20010db8000000000000000000000007 02 40 00 00     eth0",
    "20010db80000000012345678abcdef00 02 40 00 01     eth0",
    "fd00000100020003000400050006f007 02 40 00 21     eth0",
    "20010db800000000000000000000000a 03 40 00 01    wlan0",
    "fe80000000000000000000000000000b 03 40 20 80    wlan0",
    "",
  ].join("\n");
  const interfaces = {
    eth0: at("2001:db8::7", "2001:db8::1234:5678:abcd:ef00", "fd00:1:2:3:4:5:6:f007", "2001:db8::a"),
    wlan0: at("2001:db8::a", "fe80::b", "2001:db8::7"),
  };
  const left = ["2001:db8::7", "2001:db8::a", "fe80::b", "2001:db8::7"];
  assert.deepEqual(lastingAddresses(interfaces, inet6), left);
});
