import assert from "node:assert/strict";
import { join } from "node:path";
import { suite, test } from "node:test";
import { described, located, placed, pointer, response } from "../device/mdns/browse-packets.ts";
import { Lan, type Machine } from "../device/mdns/lan.ts";
import { programWords, type Running } from "../smoke/program.ts";

const SPEAKER = join(import.meta.dirname, "../device/mdns/browse-speaker.ts");

function discover(machine: Machine, ...words: string[]): Running {
  return machine.start(...programWords(), "discover", ...words);
}

/** The kernel takes a moment from "set up" to up, and Node.js sees only what is. */
async function allUp(machine: Machine): Promise<void> {
  await machine.run(
    "sh",
    "-c",
    "while ip -o link show up | grep -v LOOPBACK | grep -qv 'state UP'; do sleep 0.02; done",
  );
}

/** Machines may be set up without it. */
async function allowIpv6(machine: Machine): Promise<void> {
  const script = "for file in /proc/sys/net/ipv6/conf/eth*/disable_ipv6; do echo 0 > $file; done";
  await machine.run("sh", "-c", script);
}

async function linkLocalOf(machine: Machine, name: string): Promise<string> {
  return /fe80::[0-9a-f:]+/.exec(await machine.run("ip", "-6", "addr", "show", "dev", name))![0];
}

/** Looks again, for longer, until so many lines are printed: other tests may take the processor meanwhile. */
async function patiently(look: (time: string) => Running, lines: number): Promise<Running> {
  for (const time of ["1500ms", "3s"]) {
    const run = look(time);
    await run.ended;
    if (run.stdout.split("\n").length > lines) return run;
  }
  const last = look("6s");
  await last.ended;
  return last;
}

/** The lines of --json, and how it ended. */
async function found(
  run: Running,
): Promise<{ code: number | null; stderr: string; services: Record<string, unknown>[] }> {
  const { code } = await run.ended;
  const services = run.stdout
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { code, stderr: run.stderr, services };
}

suite("mqtt-broker discover, on networks of its own", { concurrency: true }, () => {
  test("finds what Avahi publishes, whatever its name, with addresses of both families, on each network, beside an Avahi of its own", async (context) => {
    const lan = new Lan(context);
    const [edge, attic, here] = await Promise.all(["edge", "attic", "here"].map((name) => lan.machine(name)));
    assert.ok(edge && attic && here);
    await Promise.all([
      edge.join("eth0", "192.0.2.1", here, "eth0", "192.0.2.2"),
      attic.join("eth0", "198.51.100.1", here, "eth1", "198.51.100.2"),
    ]);
    // One network with both families, one with that of IPv6 alone, where nothing but the link has addresses.
    await Promise.all([edge, attic, here].map(allowIpv6));
    await Promise.all([
      edge.run("ip", "addr", "add", "2001:db8::1/64", "dev", "eth0"),
      attic.run("ip", "-4", "addr", "flush", "dev", "eth0"),
      here.run("ip", "-4", "addr", "flush", "dev", "eth1"),
    ]);
    await allUp(here);
    await Promise.all([edge, attic, here].map((machine) => machine.startAvahi()));
    const linkLocal = await linkLocalOf(attic, "eth0");
    const own0 = `${await linkLocalOf(here, "eth0")}%eth0`;
    const own1 = `${await linkLocalOf(here, "eth1")}%eth1`;
    const publish = async (machine: Machine, ...words: string[]): Promise<void> => {
      const run = machine.start("avahi-publish", "--service", ...words);
      await run.until(() => run.stderr.includes("Established"), "its establishment");
    };
    const name = "Küche 1.5 \x1b[31m\u202e\\";
    await Promise.all([
      publish(
        edge,
        name,
        "_mqtt._tcp",
        "1883",
        "txtvers=1",
        "NOTE=two words",
        "Note=again",
        "flag",
        "evil=\x1b]0;x\x07",
      ),
      publish(attic, "Attic", "_secure-mqtt._tcp", "8883"),
      publish(attic, "Attic", "_mqtt-sn._udp", "1884"),
      publish(here, "Own", "_http._tcp", "80"),
      publish(edge, "Printer", "_ipp._tcp", "631"),
    ]);
    const kitchen = {
      type: "_mqtt._tcp",
      name,
      host: "edge.local",
      addresses: ["192.0.2.1", "2001:db8::1"],
      port: 1883,
      tls: false,
      txt: { txtvers: "1", note: "two words", flag: null, evil: "\x1b]0;x\x07" },
      interfaces: ["eth0"],
    };
    const attics = [
      { type: "_secure-mqtt._tcp", port: 8883, tls: true },
      { type: "_mqtt-sn._udp", port: 1884, tls: false },
    ].map(({ type, port, tls }) => {
      return {
        type,
        name: "Attic",
        host: "attic.local",
        addresses: [`${linkLocal}%eth1`],
        port,
        tls,
        txt: {},
        interfaces: ["eth1"],
      };
    });
    const json = await patiently((time) => discover(here, "--json", "--timeout", time), 4);
    const all = await found(json);
    const own = all.services.pop()!;
    assert.deepEqual(all, { code: 0, stderr: "", services: [kitchen, ...attics] });
    assert.deepEqual([own.type, own.name, own.host], ["_http._tcp", "Own", "here.local"]);
    // Heard on both networks, it is one service with the addresses of both.
    assert.deepEqual(
      [own.interfaces, own.addresses],
      [
        ["eth0", "eth1"],
        ["192.0.2.2", ...[own0, own1].sort()],
      ],
    );
    // Two on the same network at a time would say to each other's answerers what they know.
    const [one, people] = await Promise.all([
      patiently((time) => discover(here, "--json", "--timeout", time, "--interface", "eth1"), 3),
      patiently((time) => discover(here, "--timeout", time, "--type", "_mqtt._tcp", "--interface", "192.0.2.2"), 6),
    ]);
    assert.deepEqual((await found(one)).services.slice(0, 2), attics);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there.
    assert.doesNotMatch(json.stdout + people.stdout, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
    assert.equal((await people.ended).code, 0);
    assert.equal(
      people.stdout,
      `TYPE        ADDRESS      PORT  TLS  HOST        NAME
_mqtt._tcp  192.0.2.1    1883  no   edge.local  Küche 1.5 \\u001b[31m\\u202e\\
            2001:db8::1
    txtvers=1 "note=two words" flag evil=\\u001b]0;x\\u0007

Some devices cannot look up names in .local (Shelly Gen2, plain Arduino sketches): give those the numeric address.
`,
    );
    // The Avahi beside it hears and answers as before.
    const browsed = await here.run("avahi-browse", "--resolve", "--parsable", "--terminate", "_secure-mqtt._tcp");
    assert.match(browsed, /^=;eth1;IPv6;Attic;/m);
  });

  test("puts together what comes in pieces, believes goodbyes and no one who lies, and withstands a flood, which it tells of", async (context) => {
    const lan = new Lan(context);
    const [liar, here] = await Promise.all([lan.machine("liar"), lan.machine("here")]);
    await liar.join("eth0", "192.0.2.1", here, "eth0", "192.0.2.2");
    await allUp(here);
    await liar.run("ip", "addr", "add", "203.0.113.9/24", "dev", "eth0");
    const [speaker, otherPort, stranger] = [
      liar.start(process.execPath, SPEAKER, "192.0.2.1"),
      liar.start(process.execPath, SPEAKER, "192.0.2.1", "5354"),
      liar.start(process.execPath, SPEAKER, "203.0.113.9"),
    ];
    await Promise.all([speaker, otherPort, stranger].map((run) => run.saw("ready")));
    const say = (run: Running, bytes: Buffer): void => run.type(bytes.toString("hex"));
    const flooded = discover(here, "--json", "--timeout", "2s", "--type", "_http._tcp");
    await speaker.saw(/asked .*_http _tcp local/);
    const http = ["_http", "_tcp", "local"];
    for (let packet = 0; packet < 60; packet++) {
      const names = Array.from({ length: 20 }, (_, index) => `${packet}-${index}`);
      const pointers = names.map((name) => pointer(name, 4500, http));
      say(speaker, response(...pointers, ...names.map((name) => located(name, "192.0.2.9"))));
    }
    const run = discover(here, "--json", "--timeout", "2s", "--type", "_mqtt._tcp");
    await speaker.saw(/asked .*_mqtt _tcp local/);
    say(speaker, response(located("late", "192.0.2.7")));
    say(speaker, response(pointer("In pieces"), pointer("Going"), pointer("Unknown.1")));
    say(speaker, response(placed("Going", "late", 1), described("Going", "a=b")));
    // It asks for what is missing, each label as it was.
    await speaker.saw(/asked .*In pieces _mqtt _tcp local/);
    say(speaker, response(described("In pieces", "note=hello")));
    say(speaker, response(placed("In pieces", "late", 1883)));
    await speaker.saw(/asked .*late local/);
    say(
      speaker,
      response(located("late", "2001:db8:0:0:0:0:0:7"), located("late", "127.0.0.1"), located("late", "224.0.0.1")),
    );
    say(speaker, response(pointer("Going", 0)));
    // Who is on no network of ours, and who does not speak from the port of mDNS, is nobody.
    say(stranger, response(pointer("Stranger")));
    say(otherPort, response(pointer("Other port")));
    for (const hostile of [
      "",
      "00",
      "ffffffffffffffffffffffffffffffffff",
      `${"00".repeat(2)}8400000000ff00000000c00c`,
    ]) {
      say(speaker, Buffer.from(hostile, "hex"));
    }
    const flood = await found(flooded);
    assert.deepEqual([flood.code, flood.services.length], [0, 500]);
    assert.equal(flood.stderr, "There is more than is remembered of one network: --type asks for less\n");
    const result = await found(run);
    assert.deepEqual(result, {
      code: 0,
      stderr: "",
      services: [
        {
          type: "_mqtt._tcp",
          name: "In pieces",
          host: "late.local",
          addresses: ["192.0.2.7", "2001:db8::7"],
          port: 1883,
          tls: false,
          txt: { note: "hello" },
          interfaces: ["eth0"],
        },
        {
          type: "_mqtt._tcp",
          name: "Unknown.1",
          host: null,
          addresses: [],
          port: null,
          tls: false,
          txt: {},
          interfaces: ["eth0"],
        },
      ],
    });
  });

  test("connects to what it found with --test, and exits with 1 when something does not answer, nothing or no network is there", async (context) => {
    const lan = new Lan(context);
    const [edge, here, alone] = await Promise.all(["edge", "here", "alone"].map((name) => lan.machine(name)));
    assert.ok(edge && here && alone);
    const [cut, chosen] = [discover(alone), discover(alone, "--interface", "eth0")];
    await edge.join("eth0", "192.0.2.1", here, "eth0", "192.0.2.2");
    await allUp(here);
    const nothing = discover(here, "--timeout", "500ms", "--type", "_mqtt._tcp", "--type", "_mqtt._tcp.local.");
    await edge.startAvahi();
    const broker = edge.start(...programWords(), "--tcp-port", "1883", "--data-dir", edge.folder);
    assert.equal((await nothing.ended).code, 1);
    const published = ["_mqtt._tcp 1883", "_mqtt-ws._tcp 8083"].map((service) => {
      return edge.start("avahi-publish", "--service", "Edge", ...service.split(" "));
    });
    await Promise.all([
      broker.saw(/Listening on tcp:/),
      ...published.map((run) => run.until(() => run.stderr.includes("Established"), "its establishment")),
    ]);
    const good = await patiently((time) => discover(here, "--test", "--timeout", time, "--type", "_mqtt._tcp"), 5);
    const bad = await patiently((time) => discover(here, "--test", "--timeout", time), 7);
    assert.equal((await good.ended).code, 0);
    assert.equal(
      good.stdout,
      `TYPE        ADDRESS    PORT  TLS  HOST        NAME
_mqtt._tcp  192.0.2.1  1883  no   edge.local  Edge
    192.0.2.1 answers, and asks who it is: anonymous clients are refused

Some devices cannot look up names in .local (Shelly Gen2, plain Arduino sketches): give those the numeric address.
`,
    );
    assert.equal((await bad.ended).code, 1, bad.stdout + bad.stderr);
    assert.match(bad.stdout, /^ {4}FAILED: 192\.0\.2\.1 cannot be reached: Connection refused$/m);
    assert.equal((await cut.ended).code, 1);
    assert.equal(cut.stderr, "Nothing can be found: this machine is on no network (ip addr shows its addresses)\n");
    assert.equal((await chosen.ended).code, 2);
    assert.equal(chosen.stderr, '--interface "eth0" is on no network: this machine is on none\n');
    assert.equal(nothing.stdout, "");
    assert.equal(
      nothing.stderr,
      "Nothing of type _mqtt._tcp was found by eth0 within 500ms: mDNS ends at routers, guest networks of Wi-Fi and " +
        "firewalls that close UDP port 5353\n",
    );
  });

  test("looks from another port where a program has that of mDNS for itself; ends early when it is stopped", async (context) => {
    const lan = new Lan(context);
    const [edge, here] = await Promise.all([lan.machine("edge"), lan.machine("here")]);
    await edge.join("eth0", "192.0.2.1", here, "eth0", "192.0.2.2");
    await allUp(here);
    const greedy = "require('dgram').createSocket('udp6').bind(5353, '::', () => console.log('ready'))";
    const holder = here.start(process.execPath, "-e", greedy);
    await Promise.all([holder.saw("ready"), edge.startAvahi()]);
    const publish = edge.start("avahi-publish", "--service", "Edge", "_mqtt._tcp", "1883");
    await publish.until(() => publish.stderr.includes("Established"), "its establishment");
    const speaker = edge.start(process.execPath, SPEAKER, "192.0.2.1");
    await speaker.saw("ready");
    const run = discover(here, "--json", "--timeout", "10m");
    // The second time everything has been answered.
    const isAsked = (): boolean => [...speaker.stdout.matchAll(/_secure-mqtt/g)].length >= 2;
    await speaker.until(isAsked, "the second question");
    const { code, tookMs } = await run.stop("SIGTERM");
    assert.equal(code, 143);
    assert.ok(tookMs < 1_000, `it ended after ${tookMs} ms`);
    const { name, addresses } = JSON.parse(run.stdout) as Record<string, unknown>;
    assert.deepEqual([name, addresses], ["Edge", ["192.0.2.1"]]);
  });
});
