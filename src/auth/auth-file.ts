import { lstat } from "node:fs/promises";
import { relative, sep } from "node:path";
import type { Log } from "../core/ports.ts";
import type { Problem } from "../text/problem.ts";
import { AuthAccess, type Rules } from "./auth-access.ts";
import type { Book } from "./book.ts";
import { describeChanges } from "./changes.ts";
import { type LoadedAuth, loadAuth } from "./load-auth.ts";
import { countErrors, logProblems } from "./log-problems.ts";
import type { AnonymousFrom } from "./login/attempt.ts";
import type { ReadAuth } from "./reading/read-auth.ts";
import { bookWithoutFile, closedBook } from "./standing-books.ts";

/** Where the file is looked for, and what the configuration says beside it. */
export interface AuthSource {
  /** Absolute paths, the most important first. The first that exists is used. */
  readonly candidates: readonly string[];
  readonly anonymous: AnonymousFrom;
}

export interface AuthFileTools {
  readonly log: Log;
  /** Tells of changes: see watchFiles. */
  watch(paths: readonly string[], changed: () => void): { close(): void };
  /** Milliseconds since 1970. */
  wallMs(): number;
  /** Messages name the files in it without their folder. */
  readonly workingDirectory: string;
  /** Makes a book of a file that was found right. */
  bookOf(auth: ReadAuth, anonymous: AnonymousFrom): Book;
  /** A listener asks for certificates and verifies them. */
  readonly certificatesVerified?: boolean;
  readonly keysChecked?: boolean;
}

/**
 * The file of rules in use: read when the broker starts, followed while it runs, and taken whole or not at all. What is
 * wrong with it is logged, and the rules before it stand. A file that is wrong at the start lets in nobody but clients on
 * a Unix socket; without a file only clients on this machine get in.
 */
export class AuthFile extends AuthAccess {
  /** Where it tells what it found. May be set before it starts. */
  log: Log;
  private readonly tools: AuthFileTools;
  private source: AuthSource;
  /** The file that holds; undefined: none does. */
  private inUse: { path: string; auth: ReadAuth } | undefined;
  private tried: { path: string; loaded: LoadedAuth } | undefined;
  private state: "new" | "without" | "closed" | "used" = "new";
  private isGone = false;
  private watched: { key: string; watch: { close(): void } } | undefined;
  private looking: Promise<void> | undefined;
  private due: "changed" | "asked" | undefined;
  private isOver = false;

  constructor(source: AuthSource, tools: AuthFileTools) {
    super(rulesWithoutFile(source.anonymous), () => tools.wallMs());
    this.source = source;
    this.tools = tools;
    this.log = tools.log;
  }

  /** What the last reading found: errors, warnings and notes; empty when there was nothing to read. */
  get problems(): readonly Problem[] {
    return this.tried?.loaded.problems ?? [];
  }

  /** What holds, with its path; undefined while no file does. */
  get used(): { readonly path: string; readonly auth: ReadAuth } | undefined {
    return this.inUse;
  }

  /** From where the configuration lets in clients without a user name; undefined: as the file says. */
  get anonymous(): AnonymousFrom {
    return this.source.anonymous;
  }

  /**
   * Reads the file for the first time and begins to follow it. Resolves when its rules hold, or what stands for them; rejects
   * only when it was started before.
   */
  async start(): Promise<void> {
    if (this.state !== "new" || this.isOver)
      throw new Error("A file of access rules is for one broker: make another one");
    this.follow();
    await this.look("asked");
  }

  /** Reads it again and says what came of it, also when nothing has changed. Never rejects. */
  async reload(): Promise<void> {
    await this.look("asked");
  }

  /** The configuration says something else now. Never rejects. */
  async configure(source: AuthSource): Promise<void> {
    const before = this.source;
    this.source = source;
    this.follow();
    if (source.anonymous !== before.anonymous && this.state !== "closed") {
      const { inUse } = this;
      this.put(inUse === undefined ? rulesWithoutFile(this.source.anonymous) : this.rulesOf(inUse.auth));
    }
    await this.look("changed");
  }

  /** Follows it no longer. What holds goes on to hold. */
  stop(): void {
    this.isOver = true;
    this.watched?.watch.close();
    this.watched = undefined;
    this.close();
  }

  /** One look at a time: what happens meanwhile is looked at afterwards. */
  private look(why: "changed" | "asked"): Promise<void> {
    if (this.due !== "asked") this.due = why;
    this.looking ??= this.lookWhileDue().finally(() => {
      this.looking = undefined;
    });
    return this.looking;
  }

  private async lookWhileDue(): Promise<void> {
    while (this.due !== undefined && !this.isOver) {
      const isAsked = this.due === "asked";
      this.due = undefined;
      try {
        await this.lookOnce(isAsked);
      } catch (error) {
        this.log.error("The access rules could not be read", { reason: (error as Error).stack });
        if (this.state === "new") this.shut(this.source.candidates[0] ?? "");
      }
    }
  }

  private async lookOnce(isAsked: boolean): Promise<void> {
    const { log } = this;
    const { certificatesVerified, keysChecked } = this.tools;
    const path = await this.choose();
    if (path === undefined) return this.miss();
    const name = this.nameOf(path);
    const before = this.tried?.path === path ? this.tried.loaded : undefined;
    const loaded = await loadAuth(path, { name, before, certificatesVerified, keysChecked });
    if (loaded.missing) return this.miss();
    if (loaded === before && !isAsked) {
      log.debug(`${name} says what it said before`);
      return;
    }
    this.isGone = false;
    this.tried = { path, loaded };
    this.follow();
    // Whoever saves the file once more has read the warnings that it had before.
    const known = new Set(isAsked ? [] : before?.problems.map(({ message }) => message));
    const news = loaded.problems.filter(({ severity, message }) => severity === "error" || !known.has(message));
    logProblems(log, news);
    if (loaded.auth === undefined) this.refuse(path, loaded.problems);
    else this.take(path, loaded.auth);
  }

  /** A file that holds, or that shut the broker, is not passed over for another one because it is missing for a moment. */
  private async choose(): Promise<string | undefined> {
    const bound = this.inUse?.path ?? (this.state === "closed" ? this.tried?.path : undefined);
    for (const path of this.source.candidates) {
      if (await exists(path)) return path;
      if (path === bound) return undefined;
    }
    return undefined;
  }

  private take(path: string, auth: ReadAuth): void {
    const { log } = this;
    const { inUse, state } = this;
    const name = this.nameOf(path);
    if (!this.put(this.rulesOf(auth))) return;
    this.inUse = { path, auth };
    this.state = "used";
    if (inUse?.path === path) {
      const changes = describeChanges(inUse.auth, auth);
      log.info(`${name} read again: ${changes ?? "it says what was in force already"}`);
      return;
    }
    const { users, groups, rules, ledger } = auth;
    const counts =
      ledger === undefined
        ? { users: users.length, groups: groups.length, rules: rules.length }
        : { users: ledger.users.size, rules: ledger.acl.length };
    const former = inUse === undefined ? "" : `, in place of ${this.nameOf(inUse.path)}`;
    const late = state === "without" ? ": from now on they decide who may connect" : "";
    log.info(`Users and rules read from ${name}${former}${late}`, counts);
  }

  private refuse(path: string, problems: readonly Problem[]): void {
    const { log } = this;
    const name = this.nameOf(path);
    const what = `${name} is not used, it has ${countErrors(problems)}`;
    const help = "Correct it and save it: it is read again at once. mqtt-broker check shows what is wrong";
    if (this.state === "new") this.shut(path);
    if (this.state === "closed") log.error(`${what}: until then only clients on a Unix socket are let in. ${help}`);
    else if (this.state === "used") log.error(`${what}: the rules that were in force stay in force. ${help}`);
    else log.error(`${what}: who was let in without it is still let in, nobody else. ${help}`);
  }

  private shut(path: string): void {
    this.state = "closed";
    this.put({ makeBook: () => closedBook(this.nameOf(path)), explainsToClients: false, whenRevoked: "disconnect" });
  }

  private miss(): void {
    const { log } = this;
    const { inUse, state, source } = this;
    if (state === "new") {
      this.state = "without";
      if (source.anonymous === undefined) {
        log.info(
          `No ${this.nameOf(source.candidates[0] ?? "auth.json5")}: clients on this machine may do everything, all others are refused. mqtt-broker passwd add NAME makes one`,
        );
      }
    } else if (state === "used" && !source.candidates.includes(inUse!.path)) {
      this.state = "without";
      this.inUse = undefined;
      this.put(rulesWithoutFile(this.source.anonymous));
      log.warn(
        "The configuration names another file of users and rules, which does not exist: only its setting allowAnonymous holds",
      );
    } else if (state !== "without" && !this.isGone) {
      this.isGone = true;
      const name = this.nameOf(inUse?.path ?? this.tried?.path ?? "");
      const standing = state === "used" ? "its rules stay in force" : "only clients on a Unix socket are let in";
      log.error(`${name} is gone: ${standing} until there is one again. To run without, start the broker anew`);
    }
    this.tried = state === "closed" ? this.tried : undefined;
  }

  /** False when it cannot be done, for a mistake of ours. */
  private put(rules: Rules): boolean {
    try {
      this.swap(rules);
      return true;
    } catch (error) {
      this.log.error("The access rules could not be put in force", { reason: (error as Error).stack });
      return false;
    }
  }

  private rulesOf(auth: ReadAuth): Rules {
    const { anonymous } = this.source;
    const { explainToClients: explainsToClients, whenRevoked } = auth;
    return { makeBook: () => this.tools.bookOf(auth, anonymous), explainsToClients, whenRevoked };
  }

  private follow(): void {
    if (this.isOver) return;
    const paths = [...this.source.candidates, ...(this.tried?.loaded.files ?? [])];
    const key = paths.join("\n");
    if (key === this.watched?.key) return;
    this.watched?.watch.close();
    this.watched = { key, watch: this.tools.watch(paths, () => void this.look("changed")) };
    // What changed before it was watched has to be seen too.
    if (this.tried !== undefined) this.due ??= "changed";
  }

  private nameOf(path: string): string {
    return shownPath(path, this.tools.workingDirectory);
  }
}

function rulesWithoutFile(anonymous: AnonymousFrom): Rules {
  return { makeBook: () => bookWithoutFile(anonymous), explainsToClients: false, whenRevoked: "disconnect" };
}

/** As people write it: without the folder that they are in. */
export function shownPath(path: string, workingDirectory: string): string {
  const isInside = workingDirectory !== sep && path.startsWith(workingDirectory + sep);
  return isInside ? relative(workingDirectory, path) : path;
}

/** What cannot be told counts as there: reading it will say what is the matter. */
async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code !== "ENOENT" && code !== "ENOTDIR";
  }
}
