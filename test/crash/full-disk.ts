import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { type Lifetime, type RunningBroker, startBroker } from "../smoke/program.ts";
import { type ConnectOptions, connect, type RawClient } from "../support/raw-client.ts";
import { Peer } from "./peer.ts";
import type { SmallDisk } from "./small-disk.ts";
import { Verdict } from "./verdict.ts";

export const QUOTA_EXCEEDED = 0x97;

/** An answer that does not come within this is not waited for; it may come later. */
const ANSWER_MS = 1_000;

/** How long the broker may take to notice that there is no room, or that there is room again. */
const NOTICE_MS_MAX = 12_000;

const STOP_MS_MAX = 5_000;

const SLEEPER: ConnectOptions = {
  clientId: "sleeper",
  clean: false,
  properties: { sessionExpiryInterval: 3_600, receiveMaximum: 65_535 },
};

/** A broker whose data folder is on a disk that can be filled, and an account of what it has acknowledged. */
export class FullDisk {
  readonly disk: SmallDisk;
  private readonly context: Lifetime;
  private broker!: RunningBroker;
  private publisher!: Peer;
  private readonly verdict = new Verdict();
  private sent = 0;
  /** Of the messages for the sleeper. */
  private readonly acknowledged = new Set<number>();
  private readonly open = new Set<number>();
  private readonly received = new Set<number>();

  /** There is a sleeping session, fifty messages wait for it, and the topic `sign` has the retained value "before". */
  static async start(context: Lifetime, disk: SmallDisk): Promise<FullDisk> {
    const full = new FullDisk(context, disk);
    await full.startBroker();
    const sleeper = await full.connect(SLEEPER);
    assert.deepEqual(await sleeper.subscribe("kept/#", { qos: 2 }), [2]);
    await sleeper.disconnect();
    const publisher = await full.connect({});
    assert.equal(await publisher.publish("sign", "before", { qos: 1, retain: true }), 0x10);
    await publisher.disconnect();
    for (let count = 0; count < 50; count++) assert.equal(await full.publish(100), 0);
    return full;
  }

  private constructor(context: Lifetime, disk: SmallDisk) {
    this.context = context;
    this.disk = disk;
  }

  connect(options: ConnectOptions): Promise<RawClient> {
    return connect(this.broker.port, options);
  }

  /** Fills the disk and publishes until the first refusal. What is answered by nothing meanwhile stays open. */
  async publishUntilRefused(): Promise<void> {
    this.disk.fill();
    await this.publishUntil((code) => code === QUOTA_EXCEEDED, "refused", 60_000);
  }

  async untilAccepted(): Promise<void> {
    await this.publishUntil((code) => code === 0, "accepted again", 100);
  }

  /** What was published while there was no room, and neither acknowledged nor refused then, is acknowledged at last. */
  async untilAnswered(): Promise<void> {
    const deadlineMs = performance.now() + NOTICE_MS_MAX;
    while (this.open.size > 0 && performance.now() < deadlineMs) await sleep(20);
    assert.deepEqual([...this.open], [], "messages that were never answered");
  }

  /** kill -9, and again on the same folder. */
  async restart(): Promise<void> {
    await this.broker.program.stop("SIGKILL");
    await this.startBroker();
  }

  /** An orderly stop, which a full disk must not hold up; and again on the same folder. */
  async stopInOrder(): Promise<void> {
    const { code, tookMs } = await this.broker.program.stop();
    assert.equal(code, 0);
    assert.ok(tookMs < STOP_MS_MAX, `the stop took ${tookMs} ms`);
    await this.startBroker();
  }

  /** The sleeper comes, takes and acknowledges this many, and leaves. */
  async receiveSome(count: number): Promise<void> {
    const sleeper = await this.connect(SLEEPER);
    assert.equal(sleeper.connack.sessionPresent, true);
    for (let left = count; left > 0; left--) {
      const { payload, messageId, qos } = await sleeper.expect("publish", { qos: 1 });
      assert.equal(qos, 1);
      this.received.add(numberOf(payload));
      sleeper.send({ cmd: "puback", messageId });
    }
    await sleeper.drop();
  }

  /** The sleeper comes and gets everything that was acknowledged and that it had not. */
  async receiveAll(): Promise<void> {
    const sleeper = await this.connect(SLEEPER);
    assert.equal(sleeper.connack.sessionPresent, true);
    const missing = new Set([...this.acknowledged].filter((number) => !this.received.has(number)));
    while (missing.size > 0) {
      const { payload, messageId } = await sleeper.next(`${missing.size} messages that were acknowledged`);
      const number = numberOf(payload);
      assert.ok(number >= 1 && number <= this.sent, `${number} was never published`);
      this.received.add(number);
      missing.delete(number);
      sleeper.send({ cmd: "puback", messageId });
    }
    await sleeper.drop();
  }

  private async startBroker(): Promise<void> {
    const words = ["--tcp-port", "0", "--bind", "127.0.0.1", "--data-dir", this.disk.folder];
    this.broker = await startBroker(this.context, words, { before: this.disk.before });
    this.open.clear();
    const options = { clientId: "publisher", version: 5, answerMsMax: 0 } as const;
    this.publisher = new Peer(options, this.verdict, { onPacket() {} });
    assert.ok((await this.publisher.connect(this.broker.port, true)) !== undefined);
  }

  private async publishUntil(fits: (code: number | undefined) => boolean, what: string, bytes: number): Promise<void> {
    const deadlineMs = performance.now() + NOTICE_MS_MAX;
    let code: number | undefined;
    do {
      code = await this.publish(bytes);
      if (fits(code)) return;
      await sleep(5);
    } while (performance.now() < deadlineMs);
    assert.fail(
      `Nothing was ${what} within ${NOTICE_MS_MAX} ms; the last code was ${code}\n${this.broker.program.stdout}`,
    );
  }

  /** Publishes QoS 1 for the sleeper; resolves with the reason code, or undefined when none comes in time. */
  private async publish(bytes: number): Promise<number | undefined> {
    const number = ++this.sent;
    const messageId = (number % 65_535) + 1;
    this.open.add(number);
    const answer = this.publisher
      .ask(
        {
          cmd: "publish",
          topic: "kept/numbers",
          payload: `${number} ${"x".repeat(bytes)}`,
          qos: 1,
          dup: false,
          retain: false,
          messageId,
        },
        (packet) => packet.cmd === "puback" && packet.messageId === messageId,
        "PUBACK",
      )
      .then((packet) => {
        if (packet?.cmd !== "puback") return undefined;
        const code = packet.reasonCode ?? 0;
        this.open.delete(number);
        if (code === 0) this.acknowledged.add(number);
        return code;
      });
    return Promise.race([answer, sleep(ANSWER_MS, undefined)]);
  }
}

function numberOf(payload: string): number {
  return Number.parseInt(payload, 10);
}
