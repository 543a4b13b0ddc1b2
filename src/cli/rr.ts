import { type ClientRun, printMessage, runClientCommand, warnAboutPassword } from "./client-command.ts";
import { type ClientIo, ExitCode } from "./client-io.ts";
import { connectSettings } from "./client-options.ts";
import { reasonName } from "./connection-error.ts";
import { openClient, type SmallClient } from "./mqtt-client.ts";
import { openPayloads } from "./payload-source.ts";

/**
 * `mqtt-broker rr`: publishes a request and prints the response, 5.0 §4.10, with the options and exit codes of
 * mosquitto_rr (2 for usage). With -l each line is a request, sent when the one before has been answered.
 * For 3.x the responder has to know the topic of the response by itself.
 */
export function runRr(argv: readonly string[], io: ClientIo): Promise<number> {
  return runClientCommand("rr", argv, io, startRequest);
}

async function startRequest(run: ClientRun): Promise<SmallClient> {
  const { options, io } = run;
  const payloads = await openPayloads(options.source!, io.stdin);
  const settings = connectSettings(options, 5, 0);
  warnAboutPassword(run, settings);
  let onResponse: (() => void) | undefined;
  const client = await openClient(settings, {
    connected() {
      requestAll().then(
        () => run.finish(ExitCode.Ok),
        (error: unknown) => {
          if (!run.over) run.finishWithout(error);
        },
      );
    },
    async message(message) {
      // Nobody asked yet: an old response, or one of somebody else.
      if (run.over || onResponse === undefined || (message.retain && options.skipRetained)) return;
      await printMessage(run, message);
      onResponse();
    },
    lost: (error) => run.finishWithout(error),
    ...run.debug,
  });
  return client;

  async function requestAll(): Promise<void> {
    const responseTopic = options.responseTopic!;
    const { packetIdentifier, reasonCodes } = await client.subscribe([responseTopic], options.qos, false);
    if (options.debug) await run.output.write(`Subscribed (mid: ${packetIdentifier}): ${reasonCodes.join(", ")}\n`);
    if ((reasonCodes[0] ?? 0x80) >= 0x80) {
      run.complain("All subscription requests were denied.");
      return;
    }
    for await (const payload of payloads) {
      const answered = new Promise<void>((resolve) => {
        onResponse = resolve;
      });
      await request(payload, responseTopic);
      await answered;
      if (run.over) return;
    }
  }

  async function request(payload: Uint8Array, responseTopic: string): Promise<void> {
    const { topics, qos, retain } = options;
    const properties = { ...options.properties.publish, responseTopic };
    const { packetIdentifier, reasonCode } = await client.publish({
      topicName: topics[0]!,
      payload,
      qos,
      retain,
      properties,
    });
    if (reasonCode >= 0x80) run.complain(`Warning: Publish ${packetIdentifier} failed: ${reasonName(reasonCode)}.`);
  }
}
