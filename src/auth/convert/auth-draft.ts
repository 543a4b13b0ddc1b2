import { HOUSE_STYLE, writeValue } from "../../text/json5-style.ts";
import type { RuleEntry, UserEntry } from "../auth-rules.ts";

/** An entry of a file that is being made, with what is said above it. */
export interface Draft<Entry> {
  comments: readonly string[];
  /** undefined: comments alone. */
  entry?: Entry;
  /** Written as a comment, since it would not do what it should, or make the file wrong. */
  isLeftOut?: boolean;
}

/** A file of users and rules that is being made from another program's files. */
export interface AuthDraft {
  header: readonly string[];
  users: readonly Draft<UserEntry>[];
  rules: readonly Draft<RuleEntry>[];
}

/** The text of the file, in JSON5 with comments. Ends with a newline. */
export function writeDraft({ header, users, rules }: AuthDraft): string {
  return [
    ...header.map(comment),
    "{",
    "  authentication: [",
    ...users.flatMap(linesOf),
    "  ],",
    "",
    "  group: [],",
    "",
    "  // From wide to narrow: of the rules that match, the last one wins. What no rule matches is denied.",
    "  authorization: [",
    ...rules.flatMap(linesOf),
    "  ],",
    "}",
    "",
  ].join("\n");
}

function linesOf({ comments, entry, isLeftOut }: Draft<UserEntry | RuleEntry>): string[] {
  const lines = comments.map(comment);
  if (entry !== undefined) {
    const written = `${writeValue(entry, HOUSE_STYLE, "")},`;
    lines.push(isLeftOut === true ? comment(written) : written);
  }
  return lines.map((line) => `    ${line}`);
}

/** Texts of other files may have anything in them: a line end would end the comment. */
function comment(text: string): string {
  return text === "" ? "//" : `// ${text.replace(/[\p{Cc}\u2028\u2029]/gu, "?")}`;
}
