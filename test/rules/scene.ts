import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import mqtt, { type MqttClient } from "mqtt";
import type { AuthRules, UserEntry } from "../../src/auth/auth-rules.ts";
import { authRules, createBroker, type RunningBroker } from "../../src/library.ts";

/** A topic on which every client hears that all that came before has been dealt with. */
const BARRIER = "$barrier";
/** Only failures wait so long. */
const WAIT_MS_MAX = 10_000;

type Version = 4 | 5;

/**
 * A broker with rules on a port of loopback, and real clients of its users. Beside the users of the rules there is `root`, who
 * may do everything and sees what arrives. Users are known by a password that is their name; "-" connects
 * without credentials, and "kim!" with kim's name and a wrong password.
 */
export class Scene {
  readonly broker: RunningBroker;
  private readonly port: number;
  private readonly root: MqttClient;
  private readonly seen: string[] = [];
  private barriers = 0;
  private clients = 0;

  private constructor(broker: RunningBroker, port: number, root: MqttClient) {
    this.broker = broker;
    this.port = port;
    this.root = root;
    root.on("message", (topic, payload) => this.seen.push(`${topic} ${payload}`));
  }

  static async open(users: string, rules: AuthRules): Promise<Scene> {
    const authentication: UserEntry[] = [
      ...users
        .split(" ")
        .filter((name) => name !== "")
        .map((name): UserEntry => {
          if (name === "anonymous" || name === "unauthenticated") return { name, method: name };
          return { name, method: "plain_password", password: name };
        }),
      ...(rules.authentication ?? []),
      { name: "root", method: "plain_password", password: "root" },
    ];
    const everything = ["#", "$SYS/#", "$own/#", BARRIER].map((topic) => ({
      topic,
      allow: { sub: ["root"], pub: ["root"] },
    }));
    const authorization = [...(rules.authorization ?? []), ...everything, { topic: BARRIER, allow: { sub: ["@any"] } }];
    const auth = authRules({ ...rules, authentication, authorization });
    // Wrong passwords are part of the table, and what they cost is not asked here.
    const broker = createBroker({ auth, limits: { loginDelayMs: 0 } });
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    await broker.listen(server);
    await broker.start();
    const { port } = server.address() as AddressInfo;
    const root = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, {
      username: "root",
      password: "root",
      protocolVersion: 5,
      reconnectPeriod: 0,
    });
    const scene = new Scene(broker, port, root);
    await root.subscribeAsync(["#", "$own/#", BARRIER], { qos: 1 });
    return scene;
  }

  async close(): Promise<void> {
    await this.root.endAsync(true);
    await this.broker.stop();
  }

  /** "yes" or "no" to a question such as "kim publish a/b", in the words of the table. */
  async answer(question: string, version: Version): Promise<string> {
    const [who = "", verb = "", topic = "", of = "", filter = ""] = question.split(" ");
    assert.ok(of === "" || of === "of", question);
    switch (verb) {
      case "connect":
        return this.connects(who, version);
      case "publish":
        return this.publishes(who, topic, version);
      case "retain":
        return this.publishes(who, topic, version, true);
      case "subscribe":
        return this.subscribes(who, topic, version);
      case "get":
        return this.gets(who, filter, topic, version);
      case "retained":
        return this.getsRetained(who, filter, topic, version);
      case "will":
        return this.leavesWill(who, topic, version);
      default:
        throw new Error(`No such question: ${question}`);
    }
  }

  private async connects(who: string, version: Version): Promise<string> {
    try {
      const client = await this.client(who, version);
      await client.endAsync(true);
      return "yes";
    } catch (error) {
      // Not authorized, 5.0 §3.2.2.2 and 3.1.1 §3.2.2.3.
      assert.equal((error as { code?: number }).code, version === 5 ? 0x87 : 5);
      return "no";
    }
  }

  private async publishes(who: string, topic: string, version: Version, retain = false): Promise<string> {
    const client = await this.client(who, version);
    this.seen.length = 0;
    let refused = false;
    await client.publishAsync(topic, "x", { qos: 1, retain }).catch((error: { code?: number }) => {
      assert.equal(error.code, 0x87);
      refused = true;
    });
    await client.endAsync();
    await this.settle();
    const arrived = this.seen.splice(0).includes(`${topic} x`);
    // 3.1.1 has no code to say no.
    if (version === 5) assert.equal(refused, !arrived);
    if (retain) await this.root.publishAsync(topic, "", { qos: 1, retain: true });
    return arrived ? "yes" : "no";
  }

  private async subscribes(who: string, filter: string, version: Version): Promise<string> {
    const client = await this.client(who, version);
    const granted = await subscribe(client, filter, version);
    await client.endAsync(true);
    return granted ? "yes" : "no";
  }

  private async gets(who: string, filter: string, topic: string, version: Version): Promise<string> {
    const client = await this.client(who, version);
    const heard = listen(client);
    assert.ok(await subscribe(client, filter, version), `${who} may not even subscribe to ${filter}`);
    await client.subscribeAsync(BARRIER);
    await this.root.publishAsync(topic, "x", { qos: 1 });
    await this.settle();
    const answer = await heard(this.barriers);
    await client.endAsync(true);
    return answer.includes(`${topic} x`) ? "yes" : "no";
  }

  private async getsRetained(who: string, filter: string, topic: string, version: Version): Promise<string> {
    await this.root.publishAsync(topic, "kept", { qos: 1, retain: true });
    const client = await this.client(who, version);
    const heard = listen(client);
    assert.ok(await subscribe(client, filter, version), `${who} may not even subscribe to ${filter}`);
    await client.subscribeAsync(BARRIER);
    await this.settle();
    const answer = await heard(this.barriers);
    await client.endAsync(true);
    await this.root.publishAsync(topic, "", { qos: 1, retain: true });
    return answer.includes(`${topic} kept`) ? "yes" : "no";
  }

  private async leavesWill(who: string, topic: string, version: Version): Promise<string> {
    const client = await this.client(who, version, { topic, payload: Buffer.from("gone"), qos: 1, retain: false });
    const closed = new Promise<void>((resolve) => client.once("close", () => resolve()));
    client.stream.destroy();
    await closed;
    await client.endAsync(true);
    const startedMs = Date.now();
    while (this.broker.sessions.some(({ clientId }) => clientId === client.options.clientId)) {
      assert.ok(Date.now() - startedMs < WAIT_MS_MAX, "the broker did not notice that the client is gone");
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await this.settle();
    return this.seen.splice(0).includes(`${topic} gone`) ? "yes" : "no";
  }

  /** Resolves when everything before has reached root, and whoever listens to the barrier. */
  private async settle(): Promise<void> {
    const number = ++this.barriers;
    const heard = listen(this.root);
    await this.root.publishAsync(BARRIER, String(number), { qos: 1 });
    await heard(number);
  }

  private client(
    who: string,
    version: Version,
    will?: { topic: string; payload: Buffer; qos: 0 | 1 | 2; retain: boolean },
  ): Promise<MqttClient> {
    const name = who.replace(/!$/, "");
    return mqtt.connectAsync(`mqtt://127.0.0.1:${this.port}`, {
      clientId: `c-${name}-${++this.clients}`,
      protocolVersion: version,
      reconnectPeriod: 0,
      ...(who === "-" ? {} : { username: name, password: who.endsWith("!") ? "wrong" : name }),
      ...(will === undefined ? {} : { will }),
    });
  }
}

/** False for 0x87 (5.0 §3.9.3) and 0x80 (3.1.1 §3.9.3). */
async function subscribe(client: MqttClient, filter: string, version: Version): Promise<boolean> {
  try {
    const [grant] = await client.subscribeAsync(filter, { qos: 1 });
    return grant !== undefined && grant.qos < 0x80;
  } catch (error) {
    const { code } = error as { code?: number };
    if (code !== undefined) assert.equal(code, version === 5 ? 0x87 : 0x80);
    return false;
  }
}

/** What comes from now on; the returned function resolves with it when barrier `number` has come. */
function listen(client: MqttClient): (number: number) => Promise<string[]> {
  const heard: string[] = [];
  let passed = 0;
  let wake: () => void = () => {};
  const onMessage = (topic: string, payload: Buffer): void => {
    if (topic === BARRIER) passed = Math.max(passed, Number(payload.toString()));
    else heard.push(`${topic} ${payload}`);
    wake();
  };
  client.on("message", onMessage);
  return (number) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`No barrier ${number} for ${WAIT_MS_MAX} ms`)), WAIT_MS_MAX);
      wake = () => {
        if (passed < number) return;
        clearTimeout(timer);
        client.off("message", onMessage);
        resolve(heard);
      };
      wake();
    });
}
