/** What was promised and not kept, by the promise; `broken` is a client or a broker that does not speak MQTT. */
export const PROMISES = [
  "lost",
  "duplicate",
  "order",
  "stale",
  "subscription",
  "session",
  "refused",
  "altered",
  "stuck",
  "broken",
] as const;

export type Promised = (typeof PROMISES)[number];

/** Messages whose history is remembered. */
const HISTORIES_MAX = 5_000;

/** Gathers what the clients of a run found wrong, and counts what they did. */
export class Verdict {
  /** Each violation in words, in the order in which it was found. */
  readonly violations: { promised: Promised; text: string }[] = [];
  readonly counts = { acknowledged: 0, delivered: 0, retained: 0, subscriptions: 0, sessions: 0, opinions: 0 };
  /** Stands before each violation, so that a person sees when it came. */
  round = 0;
  /** The broker was asked to stop, and may tell its clients so. */
  isStopping = false;

  /** The packets of the first client that got something twice or in disorder, up to then. */
  evidence: string | undefined = undefined;
  private readonly histories = new Map<string, string[]>();

  /** Something happened to this message: told again when it turns out to be wrong. */
  note(topic: string, number: number, what: string): void {
    const name = `${topic} ${number}`;
    const history = this.histories.get(name) ?? [];
    history.push(`${this.round} ${what}`);
    // Again at the end of the map, so that its beginning is what is oldest.
    this.histories.delete(name);
    this.histories.set(name, history);
    if (this.histories.size > HISTORIES_MAX) this.histories.delete(this.histories.keys().next().value!);
  }

  history(topic: string, number: number): string {
    return this.histories.get(`${topic} ${number}`)?.join("; ") ?? "";
  }

  violated(promised: Promised, text: string): void {
    this.violations.push({ promised, text: `round ${this.round}: ${text}` });
  }

  /** How many violations there are of each kind; kinds without any are left out. */
  get tally(): Partial<Record<Promised, number>> {
    const tally: Partial<Record<Promised, number>> = {};
    for (const { promised } of this.violations) tally[promised] = (tally[promised] ?? 0) + 1;
    return tally;
  }

  /** The first of each kind, for people. */
  describe(each = 5): string {
    return PROMISES.flatMap((kind) => {
      const found = this.violations.filter(({ promised }) => promised === kind);
      const more = found.length > each ? [`${kind}: and ${found.length - each} more`] : [];
      return [...found.slice(0, each).map(({ text }) => `${kind}: ${text}`), ...more];
    }).join("\n");
  }
}
