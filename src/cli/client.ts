import { createInterface, type Interface } from "node:readline";
import { suggest } from "../text/suggest.ts";
import { isTopicFilter } from "../topic/name.ts";
import { type ClientIo, ExitCode, Output, UsageError, whenInterrupted } from "./client-io.ts";
import { ConnectionError, plainReason, reasonName } from "./connection-error.ts";
import {
  INTERACTIVE_HELP,
  type InteractiveOptions,
  interactiveSettings,
  parseInteractive,
  parsePublish,
  parseQos,
} from "./interactive-options.ts";
import type { ReceivedMessage } from "./message-format.ts";
import { type ConnectSettings, openClient, type SmallClient } from "./mqtt-client.ts";

const COMMANDS_HELP = `Commands:
  sub FILTER [QOS]                    subscribe
  unsub FILTER                        unsubscribe
  pub TOPIC MESSAGE [QOS] [retain]    publish; "" is an empty message, quotes keep a last word from being a QoS
  status                              are we connected?
  help                                this text
  exit                                leave; quit, q and the end of input do the same
`;

const ANSWER_TIMEOUT_MS = 5_000;

/**
 * `mqtt-broker client`: the interactive client, with the options and commands of MQTT-Server's.
 * `argv` begins after the command's name. Returns the exit code: 0 after `exit` and at the end of input.
 */
export async function runClient(argv: readonly string[], io: ClientIo): Promise<number> {
  let settings: ConnectSettings;
  let options: InteractiveOptions | undefined;
  try {
    options = parseInteractive(argv);
    if (options === undefined) {
      io.stdout.write(INTERACTIVE_HELP);
      return ExitCode.Ok;
    }
    settings = interactiveSettings(options);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    io.stderr.write(`Error: ${error.message}\n\nUse 'mqtt-broker client -help' to see usage.\n`);
    return ExitCode.Usage;
  }
  return new Conversation(options, settings, io).hold();
}

/** The commands by name, and by every other name people type. */
const COMMANDS: Readonly<Record<string, "subscribe" | "unsubscribe" | "publish" | "status" | "help" | "exit">> = {
  sub: "subscribe",
  subscribe: "subscribe",
  unsub: "unsubscribe",
  unsubscribe: "unsubscribe",
  pub: "publish",
  publish: "publish",
  status: "status",
  s: "status",
  help: "help",
  h: "help",
  exit: "exit",
  quit: "exit",
  q: "exit",
};

class Conversation {
  readonly #options: InteractiveOptions;
  readonly #settings: ConnectSettings;
  readonly #io: ClientIo;
  readonly #output: Output;
  readonly #terminal: boolean;
  readonly #ended = Promise.withResolvers<number>();
  #client: SmallClient | undefined;
  #lines: Interface | undefined;
  /** Commands run one after the other, however fast they are typed. */
  #work: Promise<void> = Promise.resolve();

  constructor(options: InteractiveOptions, settings: ConnectSettings, io: ClientIo) {
    this.#options = options;
    this.#settings = settings;
    this.#io = io;
    this.#output = new Output(io.stdout);
    this.#terminal = (io.stdout as { isTTY?: boolean }).isTTY === true;
  }

  /** Resolves with the exit code when the person leaves. */
  async hold(): Promise<number> {
    this.#output.onClosed = () => this.#ended.resolve(ExitCode.Ok);
    const release = whenInterrupted(this.#io, () => this.#ended.resolve(ExitCode.Ok));
    try {
      this.#client = await openClient(this.#settings, {
        connected: () => this.#onConnected(),
        message: (message) => this.#say(showMessage(message)),
        lost: (error) => this.#onLost(error),
      });
    } catch (error) {
      this.#fail(error);
    }
    const exitCode = await this.#ended.promise;
    this.#lines?.close();
    await this.#client?.end();
    release();
    await this.#output.finish();
    return exitCode;
  }

  #onConnected(): void {
    this.#say(`Connected to ${this.#options.broker} as ${this.#options.client}`).catch(() => {});
    if (this.#lines !== undefined) return;
    this.#say(COMMANDS_HELP.trimEnd()).catch(() => {});
    const { stdin, stdout } = this.#io;
    const terminal = this.#terminal;
    this.#lines = createInterface({ input: stdin, ...(terminal ? { output: stdout } : {}), terminal, prompt: "> " });
    this.#lines.on("line", (line) => {
      this.#work = this.#work.then(() => this.#run(line.trim())).catch((error: unknown) => this.#fail(error));
    });
    this.#lines.on("SIGINT", () => this.#ended.resolve(ExitCode.Ok));
    this.#lines.on("close", () => {
      this.#work.then(
        () => this.#ended.resolve(ExitCode.Ok),
        () => {},
      );
    });
    this.#prompt();
  }

  #onLost(error: ConnectionError): void {
    if (this.#lines === undefined || error.refused) this.#fail(error);
    else this.#say(`${error.message.replace(/^Error: /, "")} Trying again …`).catch(() => {});
  }

  #fail(error: unknown): void {
    const known = error instanceof ConnectionError;
    this.#io.stderr.write(`${known ? error.message : `Error: ${plainReason(error)}`}\n`);
    this.#ended.resolve(known ? error.exitCode : ExitCode.Failed);
  }

  async #run(line: string): Promise<void> {
    const [, word = "", rest = ""] = /^(\S*)\s*(.*)$/s.exec(line) ?? [];
    const name = word.toLowerCase();
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (command === "exit") this.#ended.resolve(ExitCode.Ok);
    else if (command === "help") await this.#say(COMMANDS_HELP.trimEnd());
    else if (command === "status") await this.#say(this.#client?.connected === true ? "Connected" : "Not connected");
    else if (command !== undefined) await this.#ask(command, rest);
    else if (word !== "") {
      const nearest = suggest(name, Object.keys(COMMANDS));
      await this.#say(`Unknown command ${word}: ${nearest === undefined ? "try help" : `did you mean ${nearest}?`}`);
    }
    this.#prompt();
  }

  /** Runs a command that the broker has to answer, and says what came of it. */
  async #ask(command: "subscribe" | "unsubscribe" | "publish", rest: string): Promise<void> {
    const client = this.#client;
    if (client?.connected !== true) return this.#say("Not connected");
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve(`No answer within ${ANSWER_TIMEOUT_MS / 1000} s`), ANSWER_TIMEOUT_MS);
    });
    const answer = this.#perform(client, command, rest).catch((error: unknown) => plainReason(error));
    const text = await Promise.race([answer, late]);
    clearTimeout(timer);
    await this.#say(text);
  }

  async #perform(client: SmallClient, command: "subscribe" | "unsubscribe" | "publish", rest: string): Promise<string> {
    if (command === "publish") {
      const publish = parsePublish(rest, this.#options.qos);
      if (typeof publish === "string") return publish;
      const { topicName, qos, retain } = publish;
      const { reasonCode } = await client.publish({ ...publish, properties: {} });
      if (reasonCode >= 0x80) return `Refused: ${reasonName(reasonCode)}`;
      return `Published to ${topicName} (QoS ${qos}${retain ? ", retained" : ""})`;
    }
    const [filter = "", qosText = String(this.#options.qos), more] = rest.split(/\s+/);
    const qos = parseQos(qosText);
    if (filter === "" || qos === undefined || more !== undefined) {
      return command === "subscribe" ? "Usage: sub FILTER [QOS]" : "Usage: unsub FILTER";
    }
    if (!isTopicFilter(filter)) return `"${filter}" is no Topic Filter; look at its wildcards`;
    if (command === "unsubscribe") {
      await client.unsubscribe([filter]);
      return `Unsubscribed from ${filter}`;
    }
    const { reasonCodes } = await client.subscribe([filter], qos, false);
    const granted = reasonCodes[0] ?? 0x80;
    return granted >= 0x80 ? `Refused to subscribe to ${filter}` : `Subscribed to ${filter} (QoS ${granted})`;
  }

  /** Prints lines above the prompt, without disturbing what is being typed. */
  async #say(text: string): Promise<void> {
    if (!this.#terminal) return this.#output.write(`${text}\n`);
    await this.#output.write(`\r\x1b[K${text}\n`);
    this.#lines?.prompt(true);
  }

  #prompt(): void {
    if (this.#terminal) this.#lines?.prompt();
  }
}

/** Control characters are shown, not sent: a payload must not be able to drive the terminal. */
function showMessage({ topicName, qos, retain, payload }: ReceivedMessage): string {
  const text = `${topicName} (QoS ${qos}${retain ? ", retained" : ""}): ${Buffer.from(payload).toString()}`;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}
