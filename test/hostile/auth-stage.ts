import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { emptyFolder, type Lifetime, type RunningBroker, type StartOptions, startBroker } from "../smoke/program.ts";
import { type ConnectOptions, connect, type RawClient } from "../support/raw-client.ts";

/** A broker with a file of rules, in a process and a folder of its own, and clients that end with the test. */
export interface Stage extends RunningBroker {
  readonly folder: string;
  /** Where its file of rules is. */
  readonly path: string;
  /** Puts the file in place at once, whatever was there. */
  put(text: string | Uint8Array): void;
  /** Waits for a line of the log that comes after what `action` does. */
  after(action: () => void, message: RegExp): Promise<void>;
  /** Connects as one of the users, whose passwords are their names; undefined: without credentials. */
  as(user: string | undefined, more?: ConnectOptions): Promise<RawClient>;
}

export interface StageOptions extends StartOptions {
  words?: readonly string[];
  /** The folder of an earlier broker, with what it kept. */
  folder?: string;
}

export async function openStage(lifetime: Lifetime, text: string, options: StageOptions = {}): Promise<Stage> {
  const { words = [], folder = emptyFolder(lifetime), ...start } = options;
  const path = join(folder, "auth.json5");
  const put = (content: string | Uint8Array): void => {
    const next = join(folder, ".next");
    writeFileSync(next, content);
    clear(path);
    renameSync(next, path);
  };
  mkdirSync(folder, { recursive: true });
  put(text);
  const { program, port, ports } = await startBroker(lifetime, ["--tcp-port", "0", ...words], {
    ...start,
    cwd: folder,
  });
  const clients: RawClient[] = [];
  lifetime.after(() => {
    for (const client of clients) client.socket.destroy();
  });
  return {
    program,
    port,
    ports,
    folder,
    path,
    put,
    async after(action, message) {
      const before = program.stdout.length;
      action();
      const since = (): string => program.stdout.slice(before);
      await program.until(() => message.test(since()), String(message));
    },
    async as(user, more = {}) {
      const given = user === undefined ? {} : { username: user, password: user };
      const client = await connect(port, { ...given, ...more });
      clients.push(client);
      return client;
    },
  };
}

/** Folders are in the way of files; files are replaced. */
function clear(path: string): void {
  try {
    rmSync(path, { recursive: true });
  } catch {
    // There is nothing.
  }
}

/** A file of rules: users whose passwords are their names, the rules as they are, and more of the top level. */
export function rulesFor(users: string, authorization: readonly string[], more = ""): string {
  const entries = users.split(" ").map((name) => {
    if (name === "anonymous" || name === "unauthenticated") return `{ name: "${name}", method: "${name}" }`;
    return `{ name: "${name}", method: "plain_password", password: "${name}" }`;
  });
  const list = (items: readonly string[]): string => items.map((item) => `    ${item},\n`).join("");
  return `{\n  authentication: [\n${list(entries)}  ],\n  authorization: [\n${list(authorization)}  ],\n  ${more}\n}\n`;
}

/** CONNECT with any credentials: packages for clients refuse to send some of these. */
export function credentials(version: 4 | 5, userName: string | undefined, password: string | undefined): Buffer {
  const text = (value: string | undefined): Buffer => {
    if (value === undefined) return Buffer.alloc(0);
    const bytes = Buffer.from(value);
    return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]);
  };
  const flags = 0x02 | (userName === undefined ? 0 : 0x80) | (password === undefined ? 0 : 0x40);
  const properties = Buffer.alloc(version === 5 ? 1 : 0);
  const head = Buffer.from([version, flags, 0, 0]);
  const body = Buffer.concat([text("MQTT"), head, properties, text("c"), text(userName), text(password)]);
  const length: number[] = [];
  for (let rest = body.length; length.length === 0 || rest > 0; rest >>= 7) length.push((rest & 0x7f) | 0x80);
  length[length.length - 1]! &= 0x7f;
  return Buffer.concat([Buffer.from([0x10, ...length]), body]);
}

/** A rule: `allow("a/#", "sub pub", "kim @any")`. */
export function allow(topic: string, directions: string, names = "@any", more = ""): string {
  return rule("allow", topic, directions, names, more);
}

export function deny(topic: string, directions: string, names = "@any", more = ""): string {
  return rule("deny", topic, directions, names, more);
}

function rule(verb: string, topic: string, directions: string, names: string, more: string): string {
  const list = JSON.stringify(names.split(" "));
  const sides = directions.split(" ").map((direction) => `${direction}: ${list}`);
  return `{ topic: ${JSON.stringify(topic)}, ${verb}: { ${sides.join(", ")} }${more} }`;
}
