import type { Method, RuleEntry, UserEntry } from "../auth-rules.ts";
import { typedName } from "../login/user-name.ts";
import type { AuthDraft, Draft } from "./auth-draft.ts";
import type { MosquittoAcl, MosquittoTopic } from "./mosquitto-files.ts";

/** A user who is taken over, with what its password is compared with. */
export interface MosquittoLogin {
  name: string;
  method: Method;
  hash: string;
}

export interface MosquittoSetup {
  /** undefined: there is no password_file. */
  users: readonly MosquittoLogin[] | undefined;
  /** undefined: there is no acl_file, so everybody may do everything. */
  acl: MosquittoAcl | undefined;
  /** As mosquitto.conf says with allow_anonymous; else anonymous clients are let in from this machine, when rules speak of them. */
  allowAnonymous: boolean;
}

const EVERYBODY = "@any";

/**
 * Makes users and rules of what Mosquitto's files say, with the same meaning; where that cannot be, a warning says so.
 *
 * Mosquitto asks a user's own list first and the patterns then, in each list the denials first, and what begins with "$"
 * is reached by lines that begin with "$" alone. Here the last rule wins and denials reach "$"-topics: so the order is
 * reversed, and lines for "$"-topics come behind all others.
 */
export function mosquittoRules({ users, acl, allowAnonymous }: MosquittoSetup): {
  draft: AuthDraft;
  warnings: string[];
} {
  const warnings: string[] = [];
  const names = new Set(users?.map(({ name }) => name));
  const anonymous = freeName("anonymous", names);
  const hasAnonymous = allowAnonymous || (acl?.anonymous.length ?? 0) > 0;
  if (hasAnonymous && !allowAnonymous) {
    warnings.push(
      "Clients without a user name are let in from this machine only: if mosquitto.conf has allow_anonymous true, " +
        "use --allow-anonymous, or remove the entry's from",
    );
  }
  const rules = acl === undefined ? OPEN_RULES : new AclWriter(acl, names, anonymous, warnings).write();
  const logins = (users ?? []).map((user): Draft<UserEntry> => ({ comments: [], entry: { ...user } }));
  const entry: UserEntry = { name: anonymous, method: "anonymous", ...(allowAnonymous ? {} : { from: "local" }) };
  const first = hasAnonymous ? [{ comments: ["Clients without user name and password."], entry }] : [];
  return { draft: { header: headerOf(acl), users: [...first, ...logins], rules }, warnings };
}

/** Without an acl_file. */
const OPEN_RULES: readonly Draft<RuleEntry>[] = [
  { comments: ["There was no acl_file: everybody who is let in may use every topic."], entry: both("#", [EVERYBODY]) },
  { comments: [], entry: { topic: "$SYS/#", allow: { sub: [EVERYBODY] } } },
];

function headerOf(acl: MosquittoAcl | undefined): string[] {
  const header = ["Made from Mosquitto's files by mqtt-broker auth import. mqtt-broker check says what it means."];
  if (acl === undefined) return header;
  header.push(
    "",
    "Mosquitto takes every subscription and delivers nothing that may not be read. Here a subscription that could deliver",
    "nothing at all is refused; others are taken, and what may not be read is not delivered.",
  );
  if (acl.patterns.some(({ topicFilter }) => /%[uc]/.test(topicFilter))) {
    header.push(
      "A user name or client id with / + or # in it matches no %u and %c here; in Mosquitto a / began a new level.",
    );
  }
  return header;
}

class AclWriter {
  private readonly acl: MosquittoAcl;
  private readonly names: ReadonlySet<string>;
  private readonly anonymous: string;
  private readonly warnings: string[];

  constructor(acl: MosquittoAcl, names: ReadonlySet<string>, anonymous: string, warnings: string[]) {
    this.acl = acl;
    this.names = names;
    this.anonymous = anonymous;
    this.warnings = warnings;
  }

  write(): Draft<RuleEntry>[] {
    for (const name of this.acl.users.keys()) {
      if (this.names.has(name)) continue;
      this.warnings.push(
        `${JSON.stringify(name)} has no line in the password file: its rules are comments. Give both files at once, or ` +
          `make the user with mqtt-broker passwd add ${typedName(name)} and take the // away`,
      );
    }
    return [...this.rulesFor(false), ...this.rulesFor(true)];
  }

  private rulesFor(reserved: boolean): Draft<RuleEntry>[] {
    const { anonymous, users, patterns } = this.acl;
    const ofUsers = [...users].flatMap(([name, topics]) => {
      return this.list(`user ${name}`, topics, name, reserved, false, !this.names.has(name));
    });
    return [
      ...this.list("pattern", patterns, EVERYBODY, reserved, true, false),
      ...this.list("clients without a user name", anonymous, this.anonymous, reserved, false, false),
      ...ofUsers,
    ];
  }

  /** One list of Mosquitto's: what denies wins, whatever the order, so it comes last. */
  private list(
    title: string,
    topics: readonly MosquittoTopic[],
    name: string,
    reserved: boolean,
    isPattern: boolean,
    isLeftOut: boolean,
  ): Draft<RuleEntry>[] {
    const concerned = topics.filter(({ topicFilter }) => topicFilter.startsWith("$") === reserved);
    const allowing = concerned.filter(({ access }) => access !== "deny");
    const denying = concerned.filter(({ access }) => access === "deny");
    const rules = [...allowing, ...denying].map((topic) => this.rule(topic, name, isPattern, isLeftOut));
    const [first, ...others] = rules;
    return first === undefined ? [] : [{ ...first, comments: [title, ...first.comments] }, ...others];
  }

  private rule(given: MosquittoTopic, name: string, isPattern: boolean, isLeftOut: boolean): Draft<RuleEntry> {
    const { access, topicFilter, line } = given;
    const isLiteral = !isPattern && /%[uc]/.test(topicFilter);
    if (!isLiteral) return { comments: [], entry: ruleOf(access, topicFilter, [name]), isLeftOut };
    const place = `${this.acl.file}:${line}`;
    // Here they stand for names in every rule. What denies may deny more, what allows may not allow more.
    if (access === "deny") {
      const wider = topicFilter
        .split("/")
        .map((level) => (/%[uc]/.test(level) ? "+" : level))
        .join("/");
      this.warnings.push(
        `${place}: %u and %c are no names in a topic line: ${wider} is denied in place of ${topicFilter}`,
      );
      return { comments: [`was: ${topicFilter}`], entry: ruleOf(access, wider, [name]), isLeftOut };
    }
    this.warnings.push(
      `${place}: %u and %c are no names in a topic line, and here they are: ${topicFilter} is left out`,
    );
    return { comments: [], entry: ruleOf(access, topicFilter, [name]), isLeftOut: true };
  }
}

function ruleOf(access: MosquittoTopic["access"], topic: string, names: readonly string[]): RuleEntry {
  switch (access) {
    case "read":
      return { topic, allow: { sub: names } };
    case "write":
      return { topic, allow: { pub: names } };
    case "readwrite":
      return both(topic, names);
    case "deny":
      return { topic, deny: { sub: names, pub: names } };
  }
}

function both(topic: string, names: readonly string[]): RuleEntry {
  return { topic, allow: { sub: names, pub: names } };
}

/** A user may be called anonymous. */
function freeName(wanted: string, names: ReadonlySet<string>): string {
  let name = wanted;
  while (names.has(name)) name = `_${name}`;
  return name;
}
