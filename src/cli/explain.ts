import { withoutCredentials } from "../auth/auth-access.ts";
import type { Book, Explanation } from "../auth/book.ts";
import { BookMaker } from "../auth/book-maker.ts";
import { LedgerBook } from "../auth/ledger/ledger-book.ts";
import { Attempt } from "../auth/login/attempt.ts";
import { LoginFailure } from "../auth/login/login-failure.ts";
import { shownName } from "../auth/login/user-name.ts";
import { Login } from "../auth/login.ts";
import { RuleBook } from "../auth/rules/rule-book.ts";
import { bookWithoutFile } from "../auth/standing-books.ts";
import type { Files } from "../config/files.ts";
import type { Anonymous } from "../config/settings.ts";
import { Client } from "../core/client.ts";
import { suggest } from "../text/suggest.ts";
import { type ClientIo, ExitCode, Output, UsageError } from "./client-io.ts";
import { EXPLAIN_HELP, type ExplainOptions, parseExplainOptions, type Question } from "./explain-options.ts";
import { answerText, rightsText } from "./explain-text.ts";
import { AuthFileError, findAuth, readAuthText } from "./passwd-file.ts";

/** Whether a client gets in, apart from its password; `reason` is one clause. */
export interface Entrance {
  admitted: boolean;
  reason: string;
}

/** What the rules say to one question. */
export interface Answer extends Explanation {
  /** The highest QoS, and whether RETAIN may be set, when it is allowed. */
  maximumQos: number;
  retain: boolean;
}

/**
 * `mqtt-broker explain …`; `argv` begins after that word. Returns the exit code: 0 allowed, 1 denied, 2 usage or a file
 * with errors. Never throws for what the user did or the file holds.
 */
export async function runExplain(argv: readonly string[], io: ClientIo, files: Files): Promise<number> {
  const output = new Output(io.stdout);
  try {
    const options = parseExplainOptions(argv);
    if (options === "help") {
      await output.write(EXPLAIN_HELP);
      return ExitCode.Ok;
    }
    const { path, anonymous } = await findAuth(options, io.env, files);
    const { book, file } = await bookOf(path, anonymous, files);
    const { text, allowed } = explain(book, file, anonymous, options);
    await output.write(text);
    return allowed ? ExitCode.Ok : ExitCode.Failed;
  } catch (error) {
    io.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return error instanceof UsageError || error instanceof AuthFileError ? ExitCode.Usage : ExitCode.Failed;
  } finally {
    await output.finish();
  }
}

async function bookOf(
  path: string,
  anonymous: Anonymous | undefined,
  files: Files,
): Promise<{ book: Book; file: string | undefined }> {
  const read = await readAuthText(path, files);
  if (read === undefined) return { book: bookWithoutFile(anonymous), file: undefined };
  return { book: new BookMaker(Date.now).make(read.auth, anonymous), file: read.name };
}

function explain(
  book: Book,
  file: string | undefined,
  anonymous: Anonymous | undefined,
  options: ExplainOptions,
): { text: string; allowed: boolean } {
  const { user, clientId, peer, question } = options;
  const client = new Client(clientId, user, 5, true, 60, peer);
  const login = loginOf(book, client);
  const entrance = entranceOf(book, client, login, anonymous);
  const known = login ?? book.restore(client);
  if (question === undefined) {
    const lines = book instanceof RuleBook ? book.list(known, client) : undefined;
    return { text: rightsText(options, file, entrance, known, lines), allowed: entrance.admitted };
  }
  const answer = answerOf(book, known, client, question);
  return {
    text: answerText(options, question, file, entrance, known, answer),
    allowed: entrance.admitted && answer.allowed,
  };
}

/** undefined: no entry is there for such a client. */
function loginOf(book: Book, client: Client): Login | undefined {
  if (!(book instanceof RuleBook)) return book.restore(client);
  if (client.userName !== undefined) return book.loginFor(client.userName);
  // The setting may have made up an entry.
  const answer = book.authenticate(client, withoutCredentials(client));
  return answer instanceof Login ? answer : book.loginFor(undefined);
}

/** All that lets in a client or keeps it out but its password, certificate or token, which is not at hand. */
function entranceOf(book: Book, client: Client, login: Login | undefined, anonymous: Anonymous | undefined): Entrance {
  const { userName } = client;
  if (userName === undefined || !(book instanceof RuleBook || book instanceof LedgerBook)) {
    const answer = book.authenticate(client, withoutCredentials(client));
    if (answer instanceof LoginFailure) return { admitted: false, reason: answer.logReason };
    return { admitted: true, reason: userName === undefined ? WITHOUT : "whatever its password" };
  }
  if (book instanceof LedgerBook) return { admitted: true, reason: "if the ledger has its password" };
  const entry = login?.user;
  if (entry === undefined) {
    const nearest = suggest(userName, book.users.byName.keys());
    const help = nearest === undefined ? "" : ` (did you mean ${shownName(nearest)}?)`;
    return { admitted: false, reason: `no entry of authentication is for ${shownName(userName)}${help}` };
  }
  const attempt = new Attempt(book.users, client, { wallMs: Date.now, book, anonymous });
  const objection = attempt.objection(entry, userName);
  if (objection !== undefined) return { admitted: false, reason: objection.logReason };
  return { admitted: true, reason: PROOFS[entry.method] ?? "with its password" };
}

const WITHOUT = "without user name and password";

/** What the client has to have, by the entry's method; the others have passwords. */
const PROOFS: Readonly<Record<string, string>> = {
  client_cert: "with its certificate",
  psk: "with its key",
  jwt: "with its token",
  unix_socket: "on the Unix socket, without a password",
  serial: "on its serial line, without a password",
  mqtt_sn: "as its wireless node, without a password",
  anonymous: "without user name and password only",
  unauthenticated: "in place of users whose login failed",
};

function answerOf(book: Book, login: Login, client: Client, { operation, topic, qos, retain }: Question): Answer {
  const write = operation === "publish";
  if (write && /^\$SYS(?:\/|$)/.test(topic))
    return { ...DENIED, reason: "clients may not publish to $SYS, whatever the rules say" };
  const explanation = book.explain(login, client, topic, write);
  const verdict = book.check(login, client, topic, write);
  const grant = typeof verdict === "boolean" ? { maximumQos: 2, retain: true } : verdict;
  const isHeldBack = write && (qos > grant.maximumQos || (retain && !grant.retain));
  return { ...explanation, ...grant, allowed: verdict !== false && !isHeldBack };
}

const DENIED = { allowed: false, place: "", text: "", runnerUp: undefined, maximumQos: 2, retain: true } as const;
