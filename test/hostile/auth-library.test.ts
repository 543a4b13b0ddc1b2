import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { createServer, type TlsOptions } from "node:tls";
import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import type { AuthRules } from "../../src/auth/auth-rules.ts";
import { authRules, createBroker, PacketType, Publish, type RunningBroker } from "../../src/library.ts";
import { connect } from "../support/raw-client.ts";

const ANYTHING = { topic: "#", allow: { sub: ["@any"], pub: ["@any"] } };
/** Not authorized, 5.0 §3.2.2.2. */
const NOT_AUTHORIZED = 0x87;

/** Certificates by name, each with its key: of our authority, but for "stranger", which has kim's name. */
function certificates(context: TestContext, names: readonly string[]): (name: string) => { key: Buffer; cert: Buffer } {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-hostile-certificates-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const openssl = (...words: string[]) => execFileSync("openssl", words, { cwd: folder, stdio: "pipe" });
  const newKey = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  for (const authority of ["ours", "another"]) {
    openssl(...newKey, "-x509", "-keyout", `${authority}.key`, "-out", `${authority}.pem`, "-subj", `/CN=${authority}`);
  }
  const issue = (file: string, name: string, authority: string): void => {
    openssl(...newKey, "-keyout", `${file}.key`, "-out", `${file}.csr`, "-subj", `/CN=${name.replace("+", "\\+")}`);
    const signer = ["-CA", `${authority}.pem`, "-CAkey", `${authority}.key`, "-CAcreateserial", "-days", "2"];
    openssl("x509", "-req", "-in", `${file}.csr`, ...signer, "-out", `${file}.pem`);
  };
  for (const [index, name] of names.entries()) issue(String(index), name, "ours");
  issue("stranger", "kim", "another");
  writeFileSync(join(folder, "ca.pem"), readFileSync(join(folder, "ours.pem")));
  const read = (file: string): Buffer => readFileSync(join(folder, file));
  return (name) => {
    if (name === "ca") return { key: Buffer.alloc(0), cert: read("ca.pem") };
    const file = name === "stranger" ? name : String(names.indexOf(name));
    return { key: read(`${file}.key`), cert: read(`${file}.pem`) };
  };
}

async function started(context: TestContext, auth: AuthRules, tls?: TlsOptions): Promise<[RunningBroker, number]> {
  const broker = createBroker({ auth: authRules(auth), limits: { loginDelayMs: 0 } });
  const server = (tls === undefined ? createTcpServer() : createServer(tls)).listen(0, "127.0.0.1");
  await once(server, "listening");
  await broker.listen(server);
  await broker.start();
  context.after(() => broker.stop());
  return [broker, (server.address() as AddressInfo).port];
}

test("a certificate lets in whom it names, when our authority has signed it, and as nobody else", async (context) => {
  const names = ["localhost", "kim", "mia", "root", "+", "@any", "*"];
  const of = certificates(context, names);
  const rules: AuthRules = {
    authentication: [
      { name: "*", method: "client_cert" },
      { name: "kim", method: "client_cert", clientId: "kim-*" },
      { name: "root", method: "plain_password", password: "root" },
    ],
    authorization: [
      { topic: "own/%u", allow: { pub: ["@any"] } },
      { topic: "root/#", allow: { pub: ["root"] } },
      { topic: "kim/#", allow: { pub: ["kim"] } },
    ],
  };
  const tls = { ...of("localhost"), ca: of("ca").cert, requestCert: true, rejectUnauthorized: false };
  const [, port] = await started(context, rules, tls);
  const open = async (name: string | undefined, more: IClientOptions = {}): Promise<MqttClient> => {
    const own = name === undefined ? {} : of(name);
    const client = await mqtt.connectAsync(`mqtts://localhost:${port}`, {
      ...own,
      ca: of("ca").cert,
      host: "localhost",
      protocolVersion: 5,
      reconnectPeriod: 0,
      clientId: `${name ?? "none"}-1`,
      ...more,
    });
    context.after(() => client.endAsync(true));
    return client;
  };
  const may = async (client: MqttClient, topic: string): Promise<boolean> => {
    try {
      await client.publishAsync(topic, "x", { qos: 1 });
      return true;
    } catch (error) {
      assert.equal((error as { code?: number }).code, NOT_AUTHORIZED);
      return false;
    }
  };
  const kim = await open("kim");
  assert.deepEqual(
    [await may(kim, "own/kim"), await may(kim, "kim/a"), await may(kim, "own/mia")],
    [true, true, false],
  );
  const mia = await open("mia");
  assert.deepEqual(
    [await may(mia, "own/mia"), await may(mia, "kim/a"), await may(mia, "own/kim")],
    [true, false, false],
  );
  // Signed by us, but a name that would be a wildcard is no more than a name that matches nothing.
  const plus = await open("+");
  assert.deepEqual(
    [await may(plus, "own/a"), await may(plus, "own/kim"), await may(plus, "root/a")],
    [false, false, false],
  );
  for (const [name, more] of [
    ["stranger", { clientId: "kim-1" }],
    ["stranger", { clientId: "kim-1", username: "kim" }],
    [undefined, {}],
    [undefined, { username: "kim" }],
    ["kim", { clientId: "another" }],
    ["mia", { username: "kim" }],
    ["mia", { username: "kim", password: "" }],
    // Whose own entry asks for a password.
    ["root", {}],
    ["root", { username: "root", password: "" }],
    ["@any", {}],
    ["*", {}],
  ] as const) {
    await assert.rejects(open(name, more), { code: NOT_AUTHORIZED }, `${name} ${JSON.stringify(more)}`);
  }
  const root = await open("mia", { username: "root", password: "root" });
  assert.deepEqual([await may(root, "root/a"), await may(root, "own/root")], [true, true]);
});

test("what is injected for a client is judged as if the client had sent it", async (context) => {
  const [broker, port] = await started(context, {
    authentication: [{ name: "kim", method: "plain_password", password: "kim" }],
    authorization: [ANYTHING, { topic: "closed/#", deny: { sub: ["kim"], pub: ["kim"] } }],
  });
  const given = { username: "kim", password: "kim" };
  const kim = await connect(port, { ...given, clientId: "k" });
  const heard: string[] = [];
  broker.inlineClient.subscribe("#", ({ topicName }) => heard.push(topicName));
  const publish = (topic: string): Publish => new Publish(topic, 0, false, false, 0, {}, Buffer.from("x"), 0, 1);
  for (const topic of ["closed/a", "$SYS/a", "open/a"]) broker.inject(publish(topic), "k", "kim");
  assert.deepEqual(heard, ["open/a"]);
  const entry = { qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
  broker.inject(
    {
      type: PacketType.SUBSCRIBE,
      packetIdentifier: 9,
      properties: {},
      entries: ["closed/#", "open/#"].map((topicFilter) => ({ ...entry, topicFilter })),
    },
    "k",
    "kim",
  );
  await kim.expect("suback", { granted: [NOT_AUTHORIZED, 0] });
  // In the program's own name it is past every rule, but what kim hears of it is not.
  for (const topic of ["closed/b", "open/b"]) broker.inject(publish(topic));
  await kim.expect("publish", { topic: "open/b" });
  await kim.expectNothing();
  assert.throws(() => broker.inject(publish("open/a"), "k", "lee"), /not connected/);
  await kim.disconnect();
});
