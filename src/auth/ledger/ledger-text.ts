import { createHash, timingSafeEqual } from "node:crypto";

/** A text of a ledger's rule: everything, itself, or what begins with what stands before its `*`. */
export class LedgerText {
  readonly any: boolean;
  private readonly whole: string;
  /** What stands before the first `*`; "" when there is none, or it comes first. */
  private readonly prefix: string;

  constructor(text = "*") {
    this.any = text === "" || text === "*";
    this.whole = text;
    this.prefix = text.slice(0, Math.max(0, text.indexOf("*")));
  }

  matches(given: string): boolean {
    const { any, whole, prefix } = this;
    if (any || whole === given) return true;
    return prefix !== "" && given.length > prefix.length && given.startsWith(prefix);
  }
}

/** Compared by digest, so that neither the time it takes nor the lengths tell how near a guess was. */
export class LedgerPassword {
  readonly any: boolean;
  private readonly digest: Buffer;
  private readonly prefix: { digest: Buffer; length: number } | undefined;

  /** `pattern`: `*` and prefixes count as in other texts of rules. */
  constructor(text: string, pattern: boolean) {
    this.any = pattern && (text === "" || text === "*");
    this.digest = digestOf(Buffer.from(text));
    const star = pattern ? text.indexOf("*") : -1;
    const prefix = Buffer.from(text.slice(0, Math.max(0, star)));
    this.prefix = star > 0 ? { digest: digestOf(prefix), length: prefix.length } : undefined;
  }

  matches(given: Uint8Array): boolean {
    const { any, digest, prefix } = this;
    if (any || timingSafeEqual(digest, digestOf(given))) return true;
    if (prefix === undefined || given.length <= prefix.length) return false;
    return timingSafeEqual(prefix.digest, digestOf(given.subarray(0, prefix.length)));
  }

  /** Do both match the same passwords? */
  isSame(other: LedgerPassword): boolean {
    const kind = ({ any, prefix }: LedgerPassword) => `${any} ${prefix?.length}`;
    return this.digest.equals(other.digest) && kind(this) === kind(other);
  }
}

function digestOf(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
