import assert from "node:assert/strict";
import { test } from "node:test";
import {
  namesAfter,
  namesOfMachine,
  parseServerName,
  readServerNames,
  type ServerName,
} from "../../src/certs/names.ts";
import { BOX } from "./certs-kit.ts";

const written = (names: readonly ServerName[]): string[] => names.map(({ kind, value }) => `${kind} ${value}`);

test("a name is a host name or an address, in one way of writing", () => {
  const table: [text: string, name: string | undefined][] = [
    ["Box.Example.org", "dns box.example.org"],
    ["box.", "dns box"],
    ["*.example.org", "dns *.example.org"],
    ["my_box", "dns my_box"],
    ["10.0.0.1", "ip 10.0.0.1"],
    ["[2001:DB8:0:0:0:0:0:1]", "ip 2001:db8::1"],
    ["fe80::1%eth0", "ip fe80::1"],
    ["10.0.0.256", undefined],
    ["10.0.0", undefined],
    ["", undefined],
    ["a..b", undefined],
    ["-box", undefined],
    ["box-", undefined],
    ["a.*.b", undefined],
    ["a b", undefined],
    ["a,DNS:b", undefined],
    ["https://box", undefined],
    ["bücher.example", undefined],
    ["a".repeat(63), `dns ${"a".repeat(63)}`],
    ["a".repeat(64), undefined],
    [`${"a.".repeat(126)}a`, `dns ${"a.".repeat(126)}a`],
    [`${"a.".repeat(127)}a`, undefined],
  ];
  for (const [text, expected] of table) {
    const name = parseServerName(text);
    assert.equal(name && written([name])[0], expected, text);
  }
});

test("a machine has its host name, that with .local, localhost and its addresses, each once", () => {
  assert.deepEqual(written(namesOfMachine(BOX)), [
    "dns box",
    "dns box.local",
    "dns localhost",
    "ip 127.0.0.1",
    "ip ::1",
    "ip 192.0.2.7",
    "ip fe80::1:2",
    "ip 2001:db8::7",
  ]);
});

test("a host name with a domain keeps it, and is without it in .local", () => {
  const names = namesOfMachine({ ...BOX, hostName: "box.example.org", addresses: [] });
  assert.deepEqual(written(names).slice(0, 2), ["dns box.example.org", "dns box.local"]);
});

test("a host name that no DNS can carry is left out", () => {
  const names = namesOfMachine({ ...BOX, hostName: "mein kästchen", addresses: [] });
  assert.deepEqual(written(names), ["dns localhost", "ip 127.0.0.1", "ip ::1"]);
});

test("names are read as Node.js writes them; kinds that no client asks a server for are left out", () => {
  const text = 'DNS:Box, IP Address:FE80:0:0:0:0:0:1:2, email:a@b.example, DNS:"a\\u002c b", IP Address:10.0.0.1';
  assert.deepEqual(written(readServerNames(text)), ["dns box", "ip fe80::1:2", "ip 10.0.0.1"]);
  assert.deepEqual(readServerNames(undefined), []);
});

test("what follows keeps names, and of more than 100 drops the oldest addresses that are gone", () => {
  const ip = (number: number): ServerName => ({ kind: "ip", value: `10.0.0.${number}` });
  const host: ServerName = { kind: "dns", value: "old-name" };
  const old = Array.from({ length: 98 }, (_, index) => ip(index));
  assert.deepEqual(namesAfter([host, ...old], [ip(200)]), [host, ...old, ip(200)]);
  const names = namesAfter([host, ...old], [ip(0), ip(200), ip(201), ip(202)]);
  assert.deepEqual(names, [host, ip(0), ...old.slice(3), ip(200), ip(201), ip(202)]);
});
