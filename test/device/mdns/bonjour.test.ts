/** Our own responder, as avahi-browse on another machine sees it. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { suite, test } from "node:test";
import type { Running } from "../../smoke/program.ts";
import { Lan, type Seen } from "./lan.ts";

const TCP = { name: "tcp", transport: "tcp", address: "::", port: 1883 };
const TLS = { name: "tls", transport: "tls", address: "::", port: 8883, auth: ["password"], fingerprint: "ab12" };
const SN = { name: "sn", transport: "mqtt-sn-udp", address: "0.0.0.0", port: 1884 };

const RAW = join(import.meta.dirname, "raw.ts");
const MQTT = "_mqtt._tcp";
const named =
  (name: string, type = MQTT) =>
  (service: Seen): boolean =>
    service.name === name && service.type === type;

suite("bonjour", { concurrency: 4 }, () => {
  test("is seen within 3 s of start with host, address, port and TXT, and is gone with its goodbye", async (context) => {
    const lan = new Lan(context);
    const [edge, sensor] = await Promise.all([lan.machine("edge"), lan.machine("sensor")]);
    await edge.join("eth0", "192.0.2.1", sensor, "eth0", "192.0.2.2");
    await sensor.startAvahi();
    const browser = sensor.browse();
    const ours = edge.advertise("auto", "Küche 1", [TCP, TLS, SN]);
    await ours.line("starting");
    const startedMs = performance.now();
    const seen = await browser.seen(named("Küche 1"), "MQTT");
    assert.ok(performance.now() - startedMs < 3_000, `${performance.now() - startedMs} ms`);
    const common = { name: "Küche 1", host: "kuche-1.local", address: "192.0.2.1" };
    assert.deepEqual(seen, {
      ...common,
      type: MQTT,
      port: 1883,
      txt: ["txtvers=1", "proto=3.1.1,5", "tls=0", "id=gw-1", "ver=0.1"],
    });
    assert.deepEqual(await browser.seen(named("Küche 1", "_secure-mqtt._tcp"), "MQTT over TLS"), {
      ...common,
      type: "_secure-mqtt._tcp",
      port: 8883,
      txt: ["txtvers=1", "proto=3.1.1,5", "tls=1", "auth=password", "fp=ab12", "id=gw-1", "ver=0.1"],
    });
    assert.equal((await browser.seen(named("Küche 1", "_mqtt-sn._udp"), "MQTT-SN")).port, 1884);
    const { provider } = await ours.line(/^Found by mDNS on kuche-1\.local as "Küche 1" _mqtt\._tcp 1883, /);
    assert.equal(provider, "bonjour");

    // What has not changed stays all the time.
    ours.type(JSON.stringify([TCP, { ...TCP, name: "plant", port: 1885 }, SN]));
    assert.equal((await browser.seen(named("Küche 1 plant"), "the second")).port, 1885);
    await browser.gone("Küche 1", "_secure-mqtt._tcp");
    assert.doesNotMatch(browser.process.stdout, /^-;.*(_mqtt\._tcp|_mqtt-sn\._udp)/m);

    const stoppedMs = performance.now();
    ours.type("stop");
    await ours.line("stopped");
    assert.ok(performance.now() - stoppedMs < 200, "the goodbye is sent at once");
    // RFC 6762, 10.1: whoever hears a goodbye keeps the record for one second more.
    await browser.gone("Küche 1", MQTT);
    assert.ok(performance.now() - stoppedMs < 1_500, `${performance.now() - stoppedMs} ms`);
    assert.equal((await ours.ended).code, 0, ours.stderr);
    assert.equal(ours.stderr, "");
  });

  test("names that others have are left to them", async (context) => {
    const lan = new Lan(context);
    const [edge, other] = await Promise.all([lan.machine("gateway"), lan.machine("edge")]);
    await edge.join("eth0", "192.0.2.1", other, "eth0", "192.0.2.2");
    await other.startAvahi();
    const theirs = other.start("avahi-publish", "--service", "Edge", MQTT, "1999");
    await theirs.until(() => theirs.stderr.includes("Established"), "its service");
    const browser = other.browse(MQTT);
    const ours = edge.advertise("bonjour", "Edge", [TCP]);
    const seen = await browser.seen(named("Edge (2)"), "ours under another name");
    assert.deepEqual([seen.host, seen.address, seen.port], ["edge-2.local", "192.0.2.1", 1883]);
    const first = await browser.seen(named("Edge"), "theirs");
    assert.deepEqual([first.host, first.address, first.port], ["edge.local", "192.0.2.2", 1999]);
    for (const [wanted, used] of [
      ["edge.local", "edge-2.local"],
      ["Edge", "Edge (2)"],
    ]) {
      const message = `The name "${wanted}" is taken on this network: found by mDNS as "${used}" (--mdns-name sets another)`;
      assert.equal((await ours.line(message)).level, "warn");
    }
    ours.type("sys");
    const { "mdns/host": host, "mdns/renames": renames, "mdns/services": services } = await ours.line("sys");
    assert.deepEqual([host, renames, services], ["edge-2.local", 2, '"Edge (2)" _mqtt._tcp 1883']);
    assert.doesNotMatch(other.avahiLog, /conflict/i);
  });

  test("of two that start with the same name at the same time one has another", async (context) => {
    const lan = new Lan(context);
    const [one, two] = await Promise.all([lan.machine("one"), lan.machine("two")]);
    await one.join("eth0", "192.0.2.1", two, "eth0", "192.0.2.2");
    await two.startAvahi();
    const browser = two.browse(MQTT);
    const both = [one, two].map((machine) => machine.advertise("bonjour", "Edge", []));
    for (const program of both) await program.line("started");
    for (const program of both) program.type(JSON.stringify([TCP]));
    const first = await browser.seen(named("Edge"), "one");
    const second = await browser.seen(named("Edge (2)"), "the other");
    // RFC 6762, 8.2: the later address has the name.
    assert.deepEqual(
      new Map([first, second].map(({ host, address }) => [host, address])),
      new Map([
        ["edge.local", "192.0.2.2"],
        ["edge-2.local", "192.0.2.1"],
      ]),
    );
    // It was not on the network under the other's name before.
    const found = /"Found by mDNS on ([^ ]+) as/g;
    const hosts = (program: Running): string[] => [...program.stdout.matchAll(found)].map(([, host]) => host!);
    await both[0]!.line(/^Found/);
    assert.deepEqual(both.map(hosts), [["edge-2.local"], ["edge.local"]]);
  });

  test("each network is told the address there, also one that comes later, and one that changes", async (context) => {
    const lan = new Lan(context);
    const [edge, left, right] = await Promise.all(["edge", "left", "right"].map((name) => lan.machine(name)));
    await edge!.join("eth0", "192.0.2.1", left!, "eth0", "192.0.2.2");
    await Promise.all([left!.startAvahi(), right!.startAvahi()]);
    const ours = edge!.advertise("bonjour", "Edge", [TCP, { ...TLS, address: "192.0.2.1" }]);
    const onLeft = left!.browse();
    assert.equal((await onLeft.seen(named("Edge"), "ours")).address, "192.0.2.1");
    await edge!.join("eth1", "198.51.100.1", right!, "eth0", "198.51.100.2");
    const onRight = right!.browse();
    assert.equal((await onRight.seen(named("Edge"), "ours")).address, "198.51.100.1");
    // PTR, with SRV, TXT and one A beside it.
    const answer = JSON.parse(await right!.run(process.execPath, RAW, "ask", "198.51.100.2"));
    assert.deepEqual([answer.answers, answer.additionals, answer.hasAddress], [1, 3, false]);
    await onLeft.seen(named("Edge", "_secure-mqtt._tcp"), "TLS");
    await edge!.run("ip", "addr", "del", "192.0.2.1/24", "dev", "eth0");
    await edge!.run("ip", "addr", "add", "192.0.2.7/24", "dev", "eth0");
    // Nothing is bound to the address that TLS had, and MQTT is at the new one.
    await onLeft.gone("Edge", "_secure-mqtt._tcp");
    const again = left!.browse(MQTT);
    assert.equal((await again.seen(named("Edge"), "ours at its new address")).address, "192.0.2.7");
    assert.deepEqual(
      new Set(onRight.all.map(({ address, type }) => `${type} ${address}`)),
      new Set([`${MQTT} 198.51.100.1`]),
    );
    assert.deepEqual(new Set(onLeft.all.map(({ address }) => address)).has("198.51.100.1"), false);
    assert.doesNotMatch(ours.stdout, /is taken/);
  });

  test("beside an Avahi of the same machine it has a host name of its own, also when Avahi comes later", async (context) => {
    const lan = new Lan(context);
    const [edge, sensor] = await Promise.all([lan.machine("edge"), lan.machine("sensor")]);
    await edge.join("eth0", "192.0.2.1", sensor, "eth0", "192.0.2.2");
    await sensor.startAvahi();
    const browser = sensor.browse(MQTT);
    const ours = edge.advertise("bonjour", "edge", [TCP]);
    assert.equal((await browser.seen(named("edge"), "ours")).host, "edge.local");
    await edge.startAvahi();
    await ours.line(/^Found by mDNS on edge-2\.local/);
    // avahi-browse does not look again at what it has seen.
    const again = sensor.browse(MQTT);
    assert.equal((await again.seen(named("edge"), "ours under another host name")).host, "edge-2.local");
    assert.match(await sensor.run("avahi-resolve", "-4", "-n", "edge.local"), /^edge\.local\t192\.0\.2\.1$/m);
    assert.doesNotMatch(edge.avahiLog, /conflict|edge-2/i);
  });

  test("a resolver that knows nothing of mDNS gets an answer of its own; rubbish and strangers get none", async (context) => {
    const lan = new Lan(context);
    const [edge, sensor] = await Promise.all([lan.machine("edge"), lan.machine("sensor")]);
    await edge.join("eth0", "192.0.2.1", sensor, "eth0", "192.0.2.2");
    const ours = edge.advertise("bonjour", "Edge", [TCP]);
    await ours.line(/^Found by mDNS/);
    const raw = (what: string, from = "192.0.2.2"): Promise<string> => sensor.run(process.execPath, RAW, what, from);
    const expected = {
      id: 0xbeef,
      flags: 0x8400,
      questions: 1,
      answers: 1,
      additionals: 3,
      seconds: 10,
      hasAddress: true,
    };
    // PTR, with SRV, TXT and A beside it; RFC 6762, 6.7.
    assert.deepEqual(JSON.parse(await raw("ask")), expected);
    // RFC 6762, 11: somebody who is not on this network, though an answer would find the way.
    await sensor.run("ip", "addr", "add", "203.0.113.9/24", "dev", "eth0");
    await edge.run("ip", "route", "add", "203.0.113.0/24", "dev", "eth0");
    assert.equal(await raw("ask", "203.0.113.9"), "");
    await raw("rubbish");
    // Some of it claims the name: whether anybody has it is found out before there are answers again.
    let answer = "";
    for (let times = 0; times < 5 && answer === ""; times++) answer = await raw("ask");
    assert.deepEqual(JSON.parse(answer), expected);
    assert.doesNotMatch(ours.stdout, /is taken/);
    assert.equal(ours.stderr, "");
  });

  test("probes three times, announces twice, and says goodbye", async (context) => {
    const lan = new Lan(context);
    const [edge, sensor] = await Promise.all([lan.machine("edge"), lan.machine("sensor")]);
    await edge.join("eth0", "192.0.2.1", sensor, "eth0", "192.0.2.2");
    const ear = sensor.start(process.execPath, RAW, "ear", "192.0.2.2");
    await ear.line("listening");
    const ours = edge.advertise("bonjour", "Edge", [TCP]);
    await ear.until(() => ear.lines.filter(({ message }) => message === "response").length === 2, "two announcements");
    ours.type("stop");
    await ear.line("goodbye");
    const all = ear.lines.slice(1);
    assert.deepEqual(
      all.map(({ message }) => message),
      ["probe", "probe", "probe", "response", "response", "goodbye"],
    );
    const gapsMs = all.slice(1).map(({ ms }, index) => Number(ms) - Number(all[index]!.ms));
    for (const gapMs of gapsMs.slice(0, 3)) assert.ok(gapMs > 200, `RFC 6762, 8.1: ${gapsMs.join(" ")}`);
    assert.ok(gapsMs[3]! > 950 && gapsMs[3]! < 2_000, `RFC 6762, 8.3: ${gapsMs.join(" ")}`);
  });

  test("can be stopped at any moment of its start", async (context) => {
    const lan = new Lan(context);
    const [edge, other] = await Promise.all([lan.machine("edge"), lan.machine("other")]);
    await edge.join("eth0", "192.0.2.1", other, "eth0", "192.0.2.2");
    await other.startAvahi();
    const browser = other.browse(MQTT);
    const moments = [0, 5, 20, 50, 100, 400, 900, 1_050];
    const all = moments.map((ms) => edge.advertise(ms % 2 === 0 ? "bonjour" : "auto", `Edge ${ms}`, [TCP], ms));
    for (const program of all) {
      const { code } = await program.ended;
      const { message } = program.lines.at(-1)!;
      assert.deepEqual([code, message, program.stderr], [0, "started", ""], program.stdout);
    }
    // Whatever was said of them is taken back.
    await browser.process.until(() => browser.names(MQTT).length === 0, "their ends");
  });

  test("off sends, opens and loads nothing", async (context) => {
    const lan = new Lan(context);
    const [edge, other] = await Promise.all([lan.machine("edge"), lan.machine("other")]);
    await edge.join("eth0", "192.0.2.1", other, "eth0", "192.0.2.2");
    const sockets = async (): Promise<string[]> => (await edge.run("ss", "--udp", "-Hlnp")).split("\n").filter(Boolean);
    const ours = edge.advertise("off", "Edge", [TCP]);
    await ours.line("started");
    assert.deepEqual(await sockets(), []);
    const libraries = await edge.run("ls", "-l", `/proc/${ours.pid}/fd`);
    assert.doesNotMatch(libraries, /bonjour|dbus/);
    ours.type("sys");
    assert.deepEqual(
      Object.keys(await ours.line("sys")).filter((key) => key.startsWith("mdns")),
      [],
    );
    const louder = edge.advertise("bonjour", "Edge", [TCP]);
    await louder.line(/^Found by mDNS/);
    assert.equal((await sockets()).filter((line) => line.includes("224.0.0.251:5353")).length, 1);
  });
});
