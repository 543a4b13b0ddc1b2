import type { Log } from "../core/ports.ts";

/** Below it, retained by the broker and so on its disk as soon as what they tell of. Nobody subscribes here by chance. */
const PREFIX = "$mqtt-sn-upstream";

export interface NoteTools {
  log: Log;
  publish(topicName: string, payload: string, options: { retain: boolean }): void;
  /** The retained messages that match, by their Topic Names. */
  retained(topicFilter: string): Iterable<string>;
}

/**
 * Names that must be known after a restart: each is a retained message of the broker's own, which puts it on the disk in
 * the order in which things happen there.
 */
export class Notes {
  private readonly folder: string;
  private readonly tools: NoteTools;
  private readonly known = new Set<string>();

  constructor(folder: "session" | "filter", tools: NoteTools) {
    this.folder = `${PREFIX}/${folder}/`;
    this.tools = tools;
  }

  /** Takes up those of an earlier run. */
  load(): void {
    for (const topicName of this.tools.retained(`${this.folder}+`)) {
      try {
        this.known.add(decodeURIComponent(topicName.slice(this.folder.length)));
      } catch {
        // Not one of ours: whoever may publish here can leave anything.
      }
    }
  }

  has(name: string): boolean {
    return this.known.has(name);
  }

  get names(): readonly string[] {
    return [...this.known];
  }

  add(name: string): void {
    if (this.known.has(name)) return;
    this.known.add(name);
    this.put(name, "1");
  }

  delete(name: string): void {
    if (this.known.delete(name)) this.put(name, "");
  }

  private put(name: string, payload: string): void {
    try {
      this.tools.publish(`${this.folder}${encodeURIComponent(name)}`, payload, { retain: true });
    } catch (error) {
      this.tools.log.warn("What MQTT-SN clients want of the other broker will not be known after a restart", {
        reason: (error as Error).message,
      });
    }
  }
}
