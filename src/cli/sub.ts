import { filterMatches } from "../topic/name.ts";
import { type ClientRun, printMessage, runClientCommand, warnAboutPassword } from "./client-command.ts";
import { type ClientIo, ExitCode } from "./client-io.ts";
import { connectSettings } from "./client-options.ts";
import type { ReceivedMessage } from "./message-format.ts";
import { openClient, type SmallClient } from "./mqtt-client.ts";

const RECONNECT_MS = 1_000;

/**
 * `mqtt-broker sub`: subscribes and prints, with the options, output and exit codes of mosquitto_sub (2 for usage).
 * A connection that once stood is made again when it is lost. `argv` begins after the command's name.
 */
export function runSub(argv: readonly string[], io: ClientIo): Promise<number> {
  return runClientCommand("sub", argv, io, (run) => new Subscriber(run).start());
}

class Subscriber {
  readonly #run: ClientRun;
  #client: SmallClient | undefined;
  #everConnected = false;
  #printed = 0;
  /** Retained messages being cleared; the run ends after they are. */
  readonly #removals = new Set<Promise<unknown>>();

  constructor(run: ClientRun) {
    this.#run = run;
  }

  async start(): Promise<SmallClient> {
    const settings = connectSettings(this.#run.options, 4, RECONNECT_MS);
    warnAboutPassword(this.#run, settings);
    this.#client = await openClient(settings, {
      connected: () => {
        this.#everConnected = true;
        this.#subscribe().catch(() => {
          // The connection went away before the answer came: the next one subscribes again.
        });
      },
      message: (message) => this.#onMessage(message),
      lost: (error) => {
        if (!this.#everConnected || error.refused) this.#run.finishWithout(error);
      },
      ...this.#run.debug,
    });
    return this.#client;
  }

  async #subscribe(): Promise<void> {
    const { topics, unsubscribe, qos, retainAsPublished, debug, exitAfterSuback } = this.#run.options;
    const client = this.#client!;
    const subscribed = client.subscribe(topics, qos, retainAsPublished);
    if (unsubscribe.length > 0) client.unsubscribe(unsubscribe).catch(() => {});
    const { packetIdentifier, reasonCodes } = await subscribed;
    if (debug) await this.#run.output.write(`Subscribed (mid: ${packetIdentifier}): ${reasonCodes.join(", ")}\n`);
    if (reasonCodes.every((code) => code >= 0x80)) {
      this.#run.complain("All subscription requests were denied.");
      this.#run.finish(ExitCode.Ok);
    }
    if (exitAfterSuback) this.#run.finish(ExitCode.Ok);
  }

  async #onMessage(message: ReceivedMessage): Promise<void> {
    const { retainedOnly, skipRetained, filtersOut, removeRetained, countMax, randomFilter } = this.#run.options;
    // What is not printed any more is not acknowledged either: a stored session hands it out again.
    if (this.#run.over) return this.#removals.size > 0 ? undefined : new Promise(() => {});
    if (retainedOnly && !message.retain) return this.#finishAfterRemovals();
    if (filtersOut.some((filter) => filterMatches(filter, message.topicName))) return;
    if (removeRetained && message.retain) this.#remove(message.topicName);
    if (message.retain && skipRetained) return;
    if (randomFilter === 100 || Math.random() * 100 < randomFilter) await printMessage(this.#run, message);
    this.#printed++;
    if (this.#printed === countMax) this.#finishAfterRemovals();
  }

  #remove(topicName: string): void {
    const request = { topicName, payload: new Uint8Array(), qos: 1, retain: true, properties: {} } as const;
    const removal = this.#client!.publish(request)
      .catch(() => {})
      .finally(() => this.#removals.delete(removal));
    this.#removals.add(removal);
  }

  #finishAfterRemovals(): void {
    if (this.#removals.size === 0) this.#run.finish(ExitCode.Ok);
    else {
      this.#run.over = true;
      Promise.all(this.#removals).then(
        () => this.#run.finish(ExitCode.Ok),
        () => {},
      );
    }
  }
}
