import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, type RawClient } from "../support/raw-client.ts";
import { numberOf, payloadOf } from "./payload.ts";

const SESSION = { sessionExpiryInterval: 86_400 };
const TOPICS = 240;
const SLEEPERS = ["anna", "bert", "carl", "dora"] as const;

/** After this many looks in a row that found nothing more, nothing more is believed to come. */
const QUIET_LOOKS = 12;
const LOOK_MS = 25;

/** What a broker was found to serve: names of things, such as `kept/7 = 3` or `anna 12`. */
export interface Found {
  /** What is as it should be. */
  right: number;
  /** What should be there and is not. */
  missing: string[];
  /** What was never published, was removed before, or comes twice. */
  wrong: string[];
}

/** What may be believed of an estate: the state at `since` at least; what came later may be there or not. */
export interface Belief {
  since: "first" | "last";
}

/**
 * Things to keep: retained topics of which a fifth is removed again, and messages for sleepers. They are published in two
 * parts, so that the first can lie in the database and the second in its log.
 */
export class Estate {
  /** The last number of each retained topic after each part; undefined: removed. */
  private readonly kept = { first: new Map<string, number>(), last: new Map<string, number>() };
  private readonly waiting = { first: 0, last: 0 };

  async publishFirst(port: number): Promise<void> {
    for (const name of SLEEPERS) {
      const sleeper = await connect(port, { clientId: name, clean: false, properties: SESSION });
      await sleeper.subscribe(`for/${name}`, { qos: qosOf(name) });
      await sleeper.disconnect();
    }
    await this.publish(port, 1, (index) => index % 5 !== 0);
    this.kept.first = new Map(this.kept.last);
    this.waiting.first = this.waiting.last;
  }

  async publishSecond(port: number): Promise<void> {
    await this.publish(port, 2, (index) => index % 7 !== 0);
  }

  /** Looks at everything; whoever connects here is gone afterwards. */
  async inspect(port: number, { since }: Belief): Promise<Found> {
    const found: Found = { right: 0, missing: [], wrong: [] };
    const sleepers = SLEEPERS.map((name) => this.inspectWaiting(port, name, since, found));
    await Promise.all([this.inspectKept(port, since, found), ...sleepers]);
    return found;
  }

  /** Every topic gets a value of this number, and is removed unless `remains`; each sleeper gets 60 messages more. */
  private async publish(port: number, number: number, remains: (index: number) => boolean): Promise<void> {
    const publisher = await connect(port);
    let sent: number[] = [];
    const put = (topic: string, payload: string, retain: boolean): void => {
      sent.push(publisher.sendPublish(topic, payload, { qos: 1, retain }));
    };
    const acknowledged = async (): Promise<void> => {
      for (const messageId of sent) assert.ok((await publisher.take("puback", messageId)).reasonCode < 0x80);
      sent = [];
    };
    for (let index = 0; index < TOPICS; index++) {
      const topic = `kept/${index}`;
      put(topic, payloadOf(topic, number), true);
      this.kept.last.set(topic, number);
      if (remains(index)) continue;
      put(topic, "", true);
      this.kept.last.delete(topic);
    }
    await acknowledged();
    const end = this.waiting.last + 60;
    while (this.waiting.last < end) {
      const next = ++this.waiting.last;
      for (const name of SLEEPERS) put(`for/${name}`, payloadOf(`for/${name}`, next), false);
      if (next % 20 === 0) await acknowledged();
    }
    await publisher.disconnect();
  }

  private async inspectKept(port: number, since: Belief["since"], found: Found): Promise<void> {
    const values = new Map<string, number>();
    const client = await connect(port);
    await client.subscribe("kept/#");
    const last = this.kept.last;
    await listen(
      client,
      () => [...last].every(([topic, number]) => values.get(topic) === number),
      (topic, payload) => {
        const number = numberOf(topic, payload);
        if (number === undefined) found.wrong.push(`${topic}: ${payload.slice(0, 40)}`);
        else values.set(topic, number);
      },
    );
    await client.disconnect();
    for (let index = 0; index < TOPICS; index++) {
      const topic = `kept/${index}`;
      const believed = new Set([this.kept.last.get(topic), ...(since === "first" ? [this.kept.first.get(topic)] : [])]);
      // Between the two parts each topic had its second value for a moment.
      if (since === "first") believed.add(2);
      const value = values.get(topic);
      if (believed.has(value)) found.right++;
      else if (value === undefined) found.missing.push(topic);
      else found.wrong.push(`${topic} = ${value}`);
    }
  }

  private async inspectWaiting(port: number, name: string, since: Belief["since"], found: Found): Promise<void> {
    const came: number[] = [];
    const client = await connect(port, { clientId: name, clean: false, properties: SESSION });
    if (!client.connack.sessionPresent) {
      // All its messages went with it: that is one loss.
      found.missing.push(`the session of ${name}`);
      await client.disconnect();
      return;
    }
    await listen(
      client,
      () => came.length >= this.waiting.last,
      (topic, payload) => {
        const number = numberOf(topic, payload);
        if (topic !== `for/${name}` || number === undefined || number > this.waiting.last || came.includes(number)) {
          found.wrong.push(`${name}: ${topic} ${payload.slice(0, 20)}`);
        } else came.push(number);
      },
    );
    await client.disconnect();
    if (came.some((number, index) => index > 0 && number < came[index - 1]!)) {
      found.wrong.push(`${name} in disorder: ${came.join(" ")}`);
    }
    for (let number = 1; number <= this.waiting[since]; number++) {
      if (came.includes(number)) found.right++;
      else found.missing.push(`${name} ${number}`);
    }
  }
}

function qosOf(name: (typeof SLEEPERS)[number]): 1 | 2 {
  return name === "anna" || name === "bert" ? 1 : 2;
}

/** Takes and acknowledges what comes, until that is all or nothing comes any more. */
async function listen(
  client: RawClient,
  isAll: () => boolean,
  take: (topic: string, payload: string) => void,
): Promise<void> {
  for (let quiet = 0; quiet < QUIET_LOOKS; quiet++) {
    client.sendBytes("c000");
    for (;;) {
      const { cmd, messageId, qos, topic, payload } = await client.next("PINGRESP");
      if (cmd === "pingresp") break;
      quiet = -1;
      if (cmd === "pubrel") client.send({ cmd: "pubcomp", messageId });
      if (cmd !== "publish") continue;
      take(topic, payload);
      if (qos === 1) client.send({ cmd: "puback", messageId });
      if (qos === 2) client.send({ cmd: "pubrec", messageId });
    }
    if (isAll() && quiet >= 0) return;
    await sleep(LOOK_MS);
  }
}
