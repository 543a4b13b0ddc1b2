/** With the package's stand-in: it is there only where somebody has built it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AdvertiserEvents, Published } from "../../../device/mdns/advertiser.ts";
import { type Mdns, MdnsAdvertiser, type Told } from "../../../device/mdns/mdns-binding.ts";
import type { Service } from "../../../device/mdns/services.ts";

const MQTT: Service = {
  type: "_mqtt._tcp",
  name: "Edge",
  port: 1883,
  addresses: ["::"],
  txt: ["txtvers=1", "path=/a=b"],
};
const TLS: Service = { ...MQTT, type: "_secure-mqtt._tcp", port: 8883 };

class Events implements AdvertiserEvents {
  readonly told: string[] = [];
  last: readonly Published[] = [];

  published(host: string, services: readonly Published[]): void {
    this.last = services;
    this.told.push(`published ${host}${services.map(({ type, name }) => `${name} ${type}`).join(", ")}`);
  }
  renamed(wanted: string, used: string): void {
    this.told.push(`renamed ${wanted} ${used}`);
  }
  waiting(reason: string): void {
    this.told.push(`waiting ${reason}`);
  }
  failed(reason: string): void {
    this.told.push(`failed ${reason}`);
  }
}

/** Does nothing but keep what it was asked for. */
function standIn(): {
  mdns: Mdns;
  calls: string[];
  tells: Map<number, Told>;
  fails: Map<number, (error: Error) => void>;
} {
  const calls: string[] = [];
  const tells = new Map<number, Told>();
  const fails = new Map<number, (error: Error) => void>();
  const mdns: Mdns = {
    makeServiceType: (name) => ({ name }),
    createAdvertisement: (type, port, options, told) => {
      calls.push(`${JSON.stringify(type)} ${port} ${JSON.stringify(options)}`);
      tells.set(port, told);
      return {
        start: () => calls.push(`start ${port}`),
        stop: () => calls.push(`stop ${port}`),
        on: (_event, listener) => fails.set(port, listener),
      };
    },
  };
  return { mdns, calls, tells, fails };
}

test("each service is registered, and what is not wanted any more withdrawn", async () => {
  const { mdns, calls, tells } = standIn();
  const events = new Events();
  const advertiser = new MdnsAdvertiser(events, async () => mdns);
  await advertiser.start([MQTT, TLS]);
  assert.deepEqual(calls.splice(0), [
    '{"name":"_mqtt._tcp"} 1883 {"name":"Edge","txtRecord":{"txtvers":"1","path":"/a=b"}}',
    "start 1883",
    '{"name":"_secure-mqtt._tcp"} 8883 {"name":"Edge","txtRecord":{"txtvers":"1","path":"/a=b"}}',
    "start 8883",
  ]);
  assert.deepEqual(events.told, []);
  tells.get(1883)!(undefined, { name: "Edge" });
  tells.get(8883)!(undefined, { name: "Edge #2" });
  assert.deepEqual(events.told.splice(0), [
    "renamed Edge Edge #2",
    "published Edge _mqtt._tcp, Edge #2 _secure-mqtt._tcp",
  ]);
  await advertiser.update([TLS]);
  assert.deepEqual(calls.splice(0), ["stop 1883"]);
  assert.deepEqual(events.told.splice(0), ["published Edge #2 _secure-mqtt._tcp"]);
  await advertiser.stop();
  await advertiser.stop();
  assert.deepEqual(calls, ["stop 8883"]);
});

test("without the package it is told how to get it", async () => {
  const events = new Events();
  const advertiser = new MdnsAdvertiser(events, async () => {
    throw new Error("Cannot find package 'mdns'\nRequire stack");
  });
  await advertiser.start([MQTT]);
  await advertiser.update([TLS]);
  await advertiser.stop();
  assert.deepEqual(events.told, [
    "failed Cannot be found by mDNS: the package mdns cannot be used; npm run build:mdns makes it (Cannot find package 'mdns')",
  ]);
});

test("what the library does not do is told", async () => {
  const { mdns, fails } = standIn();
  const events = new Events();
  await new MdnsAdvertiser(events, async () => mdns).start([MQTT]);
  fails.get(1883)!(new Error("dns service error: unknown"));
  assert.deepEqual(events.told, [
    "failed mdns could not advertise _mqtt._tcp on port 1883: dns service error: unknown (does avahi-daemon run?)",
  ]);
});
