import type { Path, Position } from "../../text/document.ts";
import { suggest } from "../../text/suggest.ts";
import { joined } from "../enumeration.ts";
import type { Complaints } from "./complaints.ts";
import { quote } from "./fields.ts";

export const EVERYBODY = "@any";

/** It takes a microsecond or two for each. */
const COMPARISONS_MAX = 100_000;

const ADD_USER = "Correct the name, take it away here, or add an entry for it to authentication";
const ADD_GROUP = 'Correct the name, or add { name: "@…", members: ["…"] } to group';

/** Who is there to be named by groups and rules, also by entries with mistakes: one mistake is to cause no others. */
export class Names {
  private readonly complaints: Complaints;
  private readonly users: ReadonlySet<string>;
  private readonly groups: ReadonlySet<string>;
  /** An entry lets in whatever name a certificate or token brings. */
  private readonly mayBeBrought: boolean;
  /** How many more names are compared with each other to find what was meant. */
  private comparisons = COMPARISONS_MAX;
  /** Users who are in no entry of their own, where one for every name may let them in; and where that is first so. */
  private readonly brought = new Set<string>();
  private broughtAt: Position | undefined = undefined;

  constructor(complaints: Complaints, users: readonly string[], groups: readonly string[], mayBeBrought: boolean) {
    this.complaints = complaints;
    this.users = new Set(users);
    this.groups = new Set([EVERYBODY, ...groups]);
    this.mayBeBrought = mayBeBrought;
  }

  /** Complains, when there is reason to, of a name that stands in a rule. `owner`: "rule 3". */
  checkRuleName(owner: string, name: string, path: Path): void {
    if (name === "*") {
      this.refuse(path, `${owner} names "*", which is nobody`, `Write "${EVERYBODY}" for everybody`);
    } else if (!name.startsWith("@")) this.checkUser(owner, name, path);
    else if (!this.groups.has(name)) {
      this.refuseUnknown(path, `${owner} names group ${quote(name)}, which is not in group`, name, ADD_GROUP);
    }
  }

  /** The same for a name in a group. */
  checkMember(owner: string, name: string, path: Path): void {
    if (name.startsWith("@")) {
      const hint = "Name its members one by one; rules may name several groups";
      this.refuse(path, `${owner} has the member ${quote(name)}: groups have users as members, and no groups`, hint);
    } else if (name === "*") {
      this.refuse(
        path,
        `${owner} has the member "*", which is nobody`,
        `The group of everybody is there already: ${EVERYBODY}`,
      );
    } else this.checkUser(owner, name, path);
  }

  /** One warning for all who have no entry, since with certificates and tokens that is mostly how it should be. */
  warnOfBrought(): void {
    const [first] = this.brought;
    if (first === undefined || this.broughtAt === undefined) return;
    const guess = this.brought.size === 1 ? this.guess(first) : "";
    const message = `${joined([...this.brought].map(quote))} ${this.brought.size === 1 ? "is" : "are"} not in authentication${guess}`;
    const hint =
      'Right if a certificate, key or token brings the name, by the entry with the name "*"; else correct it, or add an entry';
    this.complaints.say("warning", this.broughtAt, message, hint);
  }

  private checkUser(owner: string, name: string, path: Path): void {
    if (this.users.has(name)) return;
    if (!this.mayBeBrought) {
      this.refuseUnknown(path, `${owner} names user ${quote(name)}, who is not in authentication`, name, ADD_USER);
      return;
    }
    this.brought.add(name);
    this.broughtAt ??= this.complaints.at(path);
  }

  private refuseUnknown(path: Path, message: string, name: string, hint: string): void {
    const guess = this.guess(name);
    this.refuse(path, `${message}${guess}`, guess === "" ? hint : undefined);
  }

  private refuse(path: Path, message: string, hint?: string): void {
    this.complaints.say("error", this.complaints.at(path), message, hint);
  }

  private guess(name: string): string {
    if (this.comparisons <= 0) return "";
    this.comparisons -= this.users.size + this.groups.size;
    const nearest = suggest(name, [...this.users, ...this.groups]);
    return nearest === undefined || nearest === "*" ? "" : ` (did you mean ${quote(nearest)}?)`;
  }
}
