import { filterMatches } from "../topic/name.ts";
import type { BrokerOptions } from "./options.ts";

/** Topics whose policy is remembered. */
const REMEMBERED_MAX = 10_000;

/** Which policy of durability holds for which topic: see BrokerOptions.durability. */
export class Durability {
  private readonly options: BrokerOptions["durability"];
  private readonly remembered = new Map<string, number>();

  constructor(options: BrokerOptions["durability"]) {
    this.options = options;
  }

  /** Milliseconds until a message of this topic is to be on disk; 0: its acknowledgement waits for that. */
  delayMs(topicName: string): number {
    const { delayMs, topics } = this.options;
    if (topics.length === 0) return delayMs;
    const known = this.remembered.get(topicName);
    if (known !== undefined) return known;
    const found = topics.find(({ topicFilter }) => filterMatches(topicFilter, topicName))?.delayMs ?? delayMs;
    if (this.remembered.size >= REMEMBERED_MAX) this.remembered.clear();
    this.remembered.set(topicName, found);
    return found;
  }
}
