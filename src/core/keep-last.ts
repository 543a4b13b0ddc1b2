import { filterMatches } from "../topic/name.ts";
import type { Message } from "./message.ts";
import { type Outgoing, OutgoingState } from "./outgoing.ts";

/** Topics of which it is remembered whether a filter matches them. */
const REMEMBERED_MAX = 10_000;

/** The topics of which only the newest message waits for a session: see BrokerOptions.queue. */
export class KeepLast {
  /** False: all messages of all topics wait, and nobody needs to ask further. */
  readonly isOn: boolean;
  private readonly topicFilters: readonly string[];
  private readonly remembered = new Map<string, boolean>();

  constructor(topicFilters: readonly string[]) {
    this.topicFilters = topicFilters;
    this.isOn = topicFilters.length > 0;
  }

  covers(topicName: string): boolean {
    const known = this.remembered.get(topicName);
    if (known !== undefined) return known;
    const found = this.topicFilters.some((topicFilter) => filterMatches(topicFilter, topicName));
    if (this.remembered.size >= REMEMBERED_MAX) this.remembered.clear();
    this.remembered.set(topicName, found);
    return found;
  }

  /**
   * Whether it takes the place of others, and others its place. Not what a share has handed out, which is a piece of
   * work each; and not what is told with RETAIN, since a new subscription may be told an older value than what waits.
   */
  appliesTo({ message, group, retain, state }: Outgoing): boolean {
    return group === undefined && !retain && state === OutgoingState.Waiting && this.covers(message.topicName);
  }
}

/** What stands for a waiting message that is on disk only: enough for its record to be taken away. */
export class Place {
  key: number;
  readonly bytes: number;
  batch: number;
  batchAt = 0;
  recordKey: number;
  /** What its record is not written of yet: see QueueArchive.settle. */
  private outgoing: Outgoing | undefined;

  /** `recordKey`: of the message of its own record that the one under `key` refers to, or 0. */
  constructor(key: number, bytes: number, recordKey: number, outgoing?: Outgoing) {
    this.key = key;
    this.bytes = bytes;
    this.recordKey = recordKey;
    this.batch = outgoing === undefined ? 0 : outgoing.batch;
    this.outgoing = outgoing;
  }

  get message(): Message | undefined {
    return this.outgoing?.message;
  }

  /** Its record is written. */
  settle(): void {
    const { outgoing } = this;
    if (outgoing === undefined) return;
    this.outgoing = undefined;
    this.batchAt = outgoing.batchAt;
    this.recordKey = outgoing.recordKey;
  }
}
