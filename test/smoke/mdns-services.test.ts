/** What the whole program tells others of by mDNS: all that they can reach, as it really listens. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { after, before, suite, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { edgeAndSensor, Lan, type Machine, type Seen } from "../device/mdns/lan.ts";
import { CertificateFolder } from "../support/certificates.ts";
import { runCommand } from "./program.ts";

const ROOT = join(import.meta.dirname, "../..");
const MAIN = join(ROOT, "src/main.ts");
const MQTT = "_mqtt._tcp";
const TLS = "_secure-mqtt._tcp";
const WEB = "_mqtt-ws._tcp";
const SENSORS = "_mqtt-sn._udp";
/** Longer than our own responder takes to its first question. */
const STARTING_MS = 500;
/** Longer than until a change is told. */
const LOOK_MS = 1_500;

const TCP = { name: "tcp", type: "tcp", port: 1883 };
const OWN = { name: "own", type: "tcp", host: "127.0.0.1", port: 1999 };

const folder = new CertificateFolder();
before(() => {
  for (const name of ["ca", "next"]) {
    folder.authority(name);
    folder.issue(`${name}-server`, name, "edge.local");
    folder.write(`${name}-chain.crt`, folder.text(`${name}-server.crt`) + folder.text(`${name}.crt`));
  }
});
after(() => folder.remove());

function tlsBy(authority: string): object {
  return {
    certificates: [folder.file(`${authority}-chain.crt`)],
    keys: [folder.file(`${authority}-server.key`)],
  };
}

const named =
  (name: string, type: string) =>
  (service: Seen): boolean =>
    service.name === name && service.type === type;

/** Replaces the configuration in one step. */
function configure(machine: Machine, settings: object): void {
  const file = join(machine.folder, "mqtt-broker.json5");
  writeFileSync(`${file}.new`, JSON.stringify(settings));
  renameSync(`${file}.new`, file);
}

/** What TXT says, but for what is this machine's own. */
function facts({ txt }: Seen): string {
  return txt.filter((text) => !/^(?:id|ver)=/.test(text)).join(" ");
}

/** The first 128 bits of an authority's, by openssl. */
async function fingerprintOf(context: TestContext, authority: string): Promise<string> {
  const words = ["x509", "-in", folder.file(`${authority}.crt`), "-noout", "-fingerprint", "-sha256"];
  const { stdout } = await runCommand(context, "openssl", words);
  return stdout.trim().split("=")[1]!.replaceAll(":", "").toLowerCase().slice(0, 32);
}

/** Names and places by our own browser. */
async function discovered(machine: Machine): Promise<string[]> {
  const words = ["discover", "--json", "--timeout", "1500ms", "--type", MQTT];
  const lines = (await machine.run(process.execPath, MAIN, ...words)).split("\n").slice(0, -1);
  const all = lines.map((line) => JSON.parse(line) as { name: string; addresses: string[]; port: number });
  return all.map(({ name, addresses, port }) => `${name} ${addresses} ${port}`).sort();
}

/** Sockets on the port of mDNS, by the kernel's list. */
async function onPortOfMdns(machine: Machine): Promise<string[]> {
  const all = await machine.run("sh", "-c", "cat /proc/net/udp*");
  return all.split("\n").filter((line) => /^\s*\d+: [0-9A-F]+:14E9 /.test(line));
}

suite("what the whole program tells of by mDNS", { concurrency: true }, () => {
  test("all ways in that others can reach, with what clients can know before they connect", async (context) => {
    const { edge, sensor } = await edgeAndSensor(context);
    const browser = sensor.browse();
    const web = { name: "web", type: "wss", port: 8084, path: "/mqtt", versions: ["5.0"] };
    const listeners = [
      OWN,
      { name: "proxied", type: "tcp", port: 1998, proxyProtocol: true, trustedProxies: ["192.0.2.9"] },
      { type: "unix", path: "mqtt.sock" },
      TCP,
      { ...web, authMethods: ["argon2id", "scrypt"] },
      { ...web, name: "tokens", port: 8085, authMethods: ["argon2id", "jwt"] },
      { name: "cards", type: "tls", port: 8883, clientCert: "required", clientCa: folder.file("ca.crt") },
    ];
    const mdns = { provider: "bonjour", name: "Küche" };
    configure(edge, { mdns, mqttSn: { port: 1884 }, tls: tlsBy("ca"), listeners });
    const broker = edge.broker();
    await broker.line(/^Found by mDNS on kuche\.local as /);
    const [places, seen, tokens] = await Promise.all([
      discovered(sensor),
      Promise.all([MQTT, TLS, WEB, SENSORS].map((type) => browser.seen(named("Küche", type), type))),
      browser.seen(named("Küche tokens", WEB), "the second WebSocket"),
    ]);
    const fp = await fingerprintOf(context, "ca");
    assert.deepEqual(
      [...seen, tokens].map((service) => `${service.host} ${service.address} ${service.port} ${facts(service)}`),
      [
        "kuche.local 192.0.2.1 1883 txtvers=1 proto=3.1.1,5 tls=0",
        `kuche.local 192.0.2.1 8883 txtvers=1 proto=3.1.1,5 tls=1 auth=cert fp=${fp}`,
        `kuche.local 192.0.2.1 8084 txtvers=1 proto=5 tls=1 path=/mqtt auth=password fp=${fp}`,
        "kuche.local 192.0.2.1 1884 txtvers=1 proto=1.2 tls=0",
        // Which of several ways it is depends on who comes.
        `kuche.local 192.0.2.1 8085 txtvers=1 proto=5 tls=1 path=/mqtt fp=${fp}`,
      ],
    );
    // Not what is for this machine or a proxy alone.
    assert.deepEqual([places, browser.names(TLS)], [["Küche 192.0.2.1 1883"], ["Küche"]]);
    const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string };
    const machine = existsSync("/etc/machine-id") ? readFileSync("/etc/machine-id", "utf8").trim() : hostname();
    const ids = new Set(seen.map(({ txt }) => txt.at(-2)));
    assert.deepEqual([ids.size, new Set(seen.map(({ txt }) => txt.at(-1)))], [1, new Set([`ver=${version}`])]);
    assert.match([...ids][0]!, /^id=[0-9a-f]{32}$/);
    assert.equal(ids.has(`id=${machine}`), false, "machine-id(5): nobody is told that");
    assert.deepEqual([(await broker.stop()).code, broker.stderr], [0, ""]);
  });

  test("listeners and certificates as they change in the configuration, while what stays is there all the time", async (context) => {
    const { edge, sensor } = await edgeAndSensor(context);
    const browser = sensor.browse();
    const common = { mdns: { provider: "bonjour", name: "Edge" } };
    const tls = { name: "tls", type: "tls", port: 8883 };
    const web = { name: "web", type: "ws", port: 8083 };
    configure(edge, { ...common, tls: tlsBy("ca"), listeners: [OWN, TCP, tls, web] });
    const broker = edge.broker();
    await broker.line(/^Found by mDNS/);
    await Promise.all([MQTT, TLS, WEB].map((type) => browser.seen(named("Edge", type), type)));
    const plant = { name: "plant", type: "tcp", port: 1885 };
    configure(edge, { ...common, tls: tlsBy("next"), listeners: [OWN, TCP, tls, plant] });
    assert.equal((await browser.seen(named("Edge plant", MQTT), "the new one")).port, 1885);
    await browser.gone("Edge", WEB);
    assert.doesNotMatch(browser.process.stdout, /^-;.*(_mqtt\._tcp|_secure-mqtt\._tcp)/m);
    // avahi-browse does not look again at what it has seen.
    const withNext = await sensor.browse(TLS).seen(named("Edge", TLS), "TLS");
    const fp = await fingerprintOf(context, "next");
    assert.equal(facts(withNext), `txtvers=1 proto=3.1.1,5 tls=1 fp=${fp}`);
    assert.deepEqual([(await broker.stop()).code, broker.stderr], [0, ""]);
  });

  test("who is let in without a user name, as that changes in the configuration", async (context) => {
    const { edge, sensor } = await edgeAndSensor(context);
    const common = { mdns: { provider: "bonjour", name: "Edge" }, listeners: [TCP] };
    configure(edge, common);
    const broker = edge.broker();
    await broker.line(/^Found by mDNS/);
    const seen = async (): Promise<string> => facts(await sensor.browse(MQTT).seen(named("Edge", MQTT), "Edge"));
    assert.equal(await seen(), "txtvers=1 proto=3.1.1,5 tls=0");
    configure(edge, { ...common, auth: { allowAnonymous: true } });
    await broker.line("Changed in the configuration, in force from now on: auth.allowAnonymous");
    await sleep(LOOK_MS);
    assert.equal(await seen(), "txtvers=1 proto=3.1.1,5 tls=0 auth=anonymous");
    assert.deepEqual([(await broker.stop()).code, broker.stderr], [0, ""]);
  });

  test("nothing, and from no socket, with off or where nobody else can come; and the machine's name by default", async (context) => {
    const lan = new Lan(context);
    const [edge, other] = await Promise.all([lan.machine("edge"), lan.machine("other")]);
    await edge.join("eth0", "192.0.2.1", other, "eth0", "192.0.2.2");
    const off = edge.broker("--mdns", "off", "--tcp-port", "1883", "--mqtt-sn-port", "1884");
    await off.line(/^Listening on mqtt-sn-udp:/);
    await sleep(STARTING_MS);
    assert.deepEqual(await onPortOfMdns(edge), []);
    await off.stop();
    const own = edge.broker("--bind", "127.0.0.1", "--tcp-port", "1883", "--unix-socket", "mqtt.sock");
    await own.line(/^Listening on unix:/);
    await sleep(STARTING_MS);
    assert.deepEqual(await onPortOfMdns(edge), []);
    await own.stop();
    assert.doesNotMatch(off.stdout + own.stdout, /mDNS/);
    const found = edge.broker("--tcp-port", "1883", "--allow-anonymous");
    const { message, provider } = await found.line(/^Found by mDNS/);
    assert.deepEqual([provider, (await onPortOfMdns(edge)).length], ["bonjour", 1]);
    const [label = ""] = hostname().split(".");
    const name = `MQTT broker on ${hostname()}`.replaceAll(".", "-").slice(0, 63);
    assert.equal(message, `Found by mDNS on ${label.toLowerCase()}.local as "${name}" _mqtt._tcp 1883`);
  });
});
