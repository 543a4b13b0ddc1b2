import { type ClientRun, runClientCommand, warnAboutPassword } from "./client-command.ts";
import { type ClientIo, ExitCode } from "./client-io.ts";
import { connectSettings } from "./client-options.ts";
import { reasonName } from "./connection-error.ts";
import { openClient, type SmallClient } from "./mqtt-client.ts";
import { openPayloads } from "./payload-source.ts";

/** Lines of standard input may come for days, so -l outlives a broker's restart. */
const RECONNECT_MS = 1_000;

/**
 * `mqtt-broker pub`: publishes and exits, with the options and exit codes of mosquitto_pub (2 for usage).
 * `argv` begins after the command's name. Returns the exit code; never throws for what the user or the network did.
 */
export function runPub(argv: readonly string[], io: ClientIo): Promise<number> {
  return runClientCommand("pub", argv, io, startPublishing);
}

async function startPublishing(run: ClientRun): Promise<SmallClient> {
  const { options, io } = run;
  const source = options.source!;
  const payloads = await openPayloads(source, io.stdin);
  const reconnects = source.from === "stdin-lines";
  const settings = connectSettings(options, 4, reconnects ? RECONNECT_MS : 0);
  warnAboutPassword(run, settings);
  let started = false;
  const client = await openClient(settings, {
    connected() {
      if (started) return;
      started = true;
      publishAll(run, client, payloads).then(
        () => run.finish(ExitCode.Ok),
        (error: unknown) => {
          if (!run.over) run.finishWithout(error);
        },
      );
    },
    message() {},
    lost(error) {
      if (!started || !reconnects || error.refused) run.finishWithout(error);
    },
    ...run.debug,
  });
  return client;
}

/** Resolves when every message was written (QoS 0) or acknowledged. */
async function publishAll(run: ClientRun, client: SmallClient, payloads: AsyncIterable<Uint8Array>): Promise<void> {
  const { options } = run;
  const inflight = new Set<Promise<void>>();
  let first = true;
  for await (const payload of payloads) {
    for (let count = 0; count < options.repeat && !run.over; count++) {
      if (!first && options.repeatDelayMs > 0) await delay(run, options.repeatDelayMs);
      first = false;
      const sent = publishOne(run, client, payload).finally(() => inflight.delete(sent));
      inflight.add(sent);
      // 5.0 [MQTT-3.3.4-7]: no more unacknowledged messages than the Server's Receive Maximum.
      const allowed = options.qos === 0 ? 1 : Math.min(options.inflightMax, client.receiveMaximum);
      while (inflight.size >= allowed) await Promise.race(inflight);
    }
    if (run.over) break;
  }
  await Promise.all(inflight);
}

async function publishOne(run: ClientRun, client: SmallClient, payload: Uint8Array): Promise<void> {
  const { topics, qos, retain, properties } = run.options;
  const request = { topicName: topics[0]!, payload, qos, retain, properties: properties.publish };
  const { packetIdentifier, reasonCode } = await client.publish(request);
  if (reasonCode >= 0x80) run.complain(`Warning: Publish ${packetIdentifier} failed: ${reasonName(reasonCode)}.`);
}

function delay(run: ClientRun, ms: number): Promise<unknown> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const wake = (): void => {
      clearTimeout(timer);
      resolve(undefined);
    };
    run.ended.then(wake, wake);
  });
}
