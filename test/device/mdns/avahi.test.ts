/** By way of Avahi, and in turns with our own responder, as avahi-browse on another machine sees it. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { Lan, type Seen } from "./lan.ts";

const TCP = { name: "tcp", transport: "tcp", address: "::", port: 1883 };
const MQTT = "_mqtt._tcp";
const named =
  (name: string, type = MQTT) =>
  (service: Seen): boolean =>
    service.name === name && service.type === type;

suite("avahi", { concurrency: 4 }, () => {
  test("is seen within 3 s of start with host, address, port and TXT, and is gone with its goodbye", async (context) => {
    const lan = new Lan(context, { ipv6: true });
    const [edge, left, right] = await Promise.all(["edge", "left", "right"].map((name) => lan.machine(name)));
    await edge!.join("eth0", "192.0.2.1", left!, "eth0", "192.0.2.2");
    await edge!.join("eth1", "198.51.100.1", right!, "eth0", "198.51.100.2");
    await Promise.all([edge!, left!, right!].map((machine) => machine.startAvahi()));
    const [onLeft, onRight] = [left!.browse(), right!.browse()];
    const tls = { name: "tls", transport: "tls", address: "192.0.2.1", port: 8883, auth: ["cert"] };
    const sn = { name: "sn", transport: "mqtt-sn-udp", address: "0.0.0.0", port: 1884 };
    const ours = edge!.advertise("auto", "Küche v1.1", [TCP, tls, sn]);
    await ours.line("starting");
    const startedMs = performance.now();
    const seen = await onLeft.seen(named("Küche v1-1"), "MQTT");
    assert.ok(performance.now() - startedMs < 3_000, `${performance.now() - startedMs} ms`);
    const txt = ["txtvers=1", "proto=3.1.1,5", "tls=0", "id=gw-1", "ver=0.1"];
    const expected = { name: "Küche v1-1", type: MQTT, host: "edge.local", port: 1883, txt };
    const { address: _left, ...onLeftSeen } = seen;
    const { address: _right, ...onRightSeen } = await onRight.seen(named("Küche v1-1"), "MQTT");
    assert.deepEqual([onLeftSeen, onRightSeen], [expected, expected]);
    assert.match(await left!.run("avahi-resolve", "-4", "-n", "edge.local"), /^edge\.local\t192\.0\.2\.1$/m);
    assert.match(await right!.run("avahi-resolve", "-4", "-n", "edge.local"), /^edge\.local\t198\.51\.100\.1$/m);
    assert.match(await right!.run("avahi-resolve", "-6", "-n", "edge.local"), /^edge\.local\tfe80:/m);
    assert.equal((await onLeft.seen(named("Küche v1-1", "_secure-mqtt._tcp"), "TLS")).port, 8883);
    assert.equal((await onRight.seen(named("Küche v1-1", "_mqtt-sn._udp"), "MQTT-SN")).port, 1884);
    const { provider } = await ours.line(/^Found by mDNS on edge\.local as "Küche v1-1" _mqtt\._tcp 1883, /);
    assert.equal(provider, "avahi");

    // What has not changed stays all the time.
    ours.type(JSON.stringify([TCP, tls]));
    await onRight.gone("Küche v1-1", "_mqtt-sn._udp");
    assert.deepEqual([onRight.names(MQTT), onRight.names("_secure-mqtt._tcp")], [["Küche v1-1"], []]);
    assert.doesNotMatch(onLeft.process.stdout, /^-;.*(_mqtt\._tcp|_secure-mqtt\._tcp)/m);
    // It is bound on one network, and to one family.
    assert.doesNotMatch(onRight.process.stdout, /_secure-mqtt/);
    assert.doesNotMatch(onLeft.process.stdout, /IPv6;.*_mqtt-sn/);

    const stoppedMs = performance.now();
    ours.type("stop");
    await ours.line("stopped");
    assert.ok(performance.now() - stoppedMs < 200, "the goodbye is sent at once");
    // RFC 6762, 10.1: whoever hears a goodbye keeps the record for one second more.
    await onLeft.gone("Küche v1-1", MQTT);
    assert.ok(performance.now() - stoppedMs < 1_500, `${performance.now() - stoppedMs} ms`);
    assert.equal((await ours.ended).code, 0, ours.stderr);
    assert.equal(ours.stderr, "");
  });

  test("names that others have are left to them, on this machine and another", async (context) => {
    const lan = new Lan(context);
    const [edge, other] = await Promise.all([lan.machine("edge"), lan.machine("other")]);
    await edge.join("eth0", "192.0.2.1", other, "eth0", "192.0.2.2");
    await Promise.all([edge.startAvahi(), other.startAvahi()]);
    const theirs = [other.start("avahi-publish", "--service", "Edge", MQTT, "1999")];
    theirs.push(edge.start("avahi-publish", "--service", "Edge", "_mqtt-ws._tcp", "1998"));
    for (const program of theirs) await program.until(() => program.stderr.includes("Established"), "its service");
    const browser = other.browse();
    const ours = edge.advertise("avahi", "Edge", [TCP, { name: "ws", transport: "ws", address: "::", port: 8083 }]);
    assert.equal((await browser.seen(named("Edge #2"), "ours under another name")).port, 1883);
    assert.equal((await browser.seen(named("Edge #2", "_mqtt-ws._tcp"), "the other one")).port, 8083);
    assert.equal((await browser.seen(named("Edge"), "theirs")).port, 1999);
    const message = 'The name "Edge" is taken on this network: found by mDNS as "Edge #2" (--mdns-name sets another)';
    assert.equal((await ours.line(message)).level, "warn");
    ours.type("sys");
    const { "mdns/renames": renames, "mdns/services": services } = await ours.line("sys");
    assert.deepEqual([renames, services], [2, '"Edge #2" _mqtt._tcp 1883, "Edge #2" _mqtt-ws._tcp 8083']);
  });

  test("registers anew when Avahi or D-Bus has started again", async (context) => {
    const lan = new Lan(context);
    const [edge, sensor] = await Promise.all([lan.machine("edge"), lan.machine("sensor")]);
    await edge.join("eth0", "192.0.2.1", sensor, "eth0", "192.0.2.2");
    await sensor.startAvahi();
    const browser = sensor.browse(MQTT);
    const ours = edge.advertise("avahi", "Edge", [TCP]);
    const waiting = /^Cannot be found by mDNS until Avahi is there: there is no D-Bus \(nothing is at \/.*\/bus\)$/;
    assert.equal((await ours.line(waiting)).level, "warn");
    await edge.startAvahi();
    const times = (count: number) => () =>
      browser.process.stdout.split("\n").filter((line) => line.startsWith("=;eth0;IPv4;Edge;")).length === count;
    await browser.process.until(times(1), "ours");
    await edge.stopAvahi();
    await ours.line("Cannot be found by mDNS until Avahi is there: avahi-daemon has stopped");
    await browser.gone("Edge", MQTT);
    await edge.startAvahi();
    await browser.process.until(times(2), "ours after Avahi's restart");
    await edge.stopBus();
    await ours.line("Cannot be found by mDNS until Avahi is there: D-Bus is gone");
    await browser.gone("Edge", MQTT);
    await edge.startAvahi();
    await browser.process.until(times(3), "ours after the restart of D-Bus");
    ours.type("stop");
    assert.equal((await ours.ended).code, 0, ours.stderr);
    assert.equal(ours.stderr, "");
  });

  test("auto goes over to Avahi when it comes, and back when it goes", async (context) => {
    const lan = new Lan(context);
    const [edge, sensor] = await Promise.all([lan.machine("edge"), lan.machine("sensor")]);
    await edge.join("eth0", "192.0.2.1", sensor, "eth0", "192.0.2.2");
    await Promise.all([sensor.startAvahi(), edge.startBus()]);
    const browser = sensor.browse(MQTT);
    const ours = edge.advertise("auto", "edge", [TCP]);
    const found = /^Found by mDNS on edge\.local as "edge" _mqtt\._tcp 1883$/;
    await ours.line(found, ({ provider }) => provider === "bonjour");
    await browser.seen(named("edge"), "ours by ourselves");
    await edge.startAvahi();
    await ours.line(found, ({ provider }) => provider === "avahi");
    await edge.stopAvahi();
    await ours.until(() => ours.lines.filter(({ provider }) => provider === "bonjour").length === 2, "our own again");
    assert.deepEqual(
      new Set(browser.all.map(({ name, host, address }) => `${name} ${host} ${address}`)),
      new Set(["edge edge.local 192.0.2.1"]),
    );
    assert.doesNotMatch(ours.stdout, /taken|Cannot/);
    // Avahi has kept the machine's name too.
    assert.doesNotMatch(edge.avahiLog, /conflict|edge-2/i);
    ours.type("stop");
    assert.equal((await ours.ended).code, 0, ours.stderr);
    await browser.gone("edge", MQTT);
  });
});
