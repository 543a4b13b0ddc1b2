import type { Clock } from "../../src/core/ports.ts";
import { AutoFraming } from "./framing/auto.ts";
import { type Frame, type FrameReader, type FramingName, framingOf, type LineCounters } from "./framing/framing.ts";
import type { LineSettings } from "./line-spec.ts";
import { NonsenseWatch } from "./nonsense-watch.ts";

export interface ReaderEvents {
  onFrame(frame: Frame): void;
  /** `framing=auto` has decided. */
  onFraming(name: FramingName): void;
  /** Bytes come and no frames: what to say of it. */
  onNonsense(complaint: string): void;
}

/** Finds the frames in what comes on a line, and has the timer that unfinished ones need. */
export class LineReader {
  private readonly settings: LineSettings;
  private readonly counters: LineCounters;
  private readonly clock: Pick<Clock, "nowMs">;
  private readonly events: ReaderEvents;
  private readonly nonsense: NonsenseWatch;
  private reader: FrameReader | undefined;
  private gap: NodeJS.Timeout | undefined;
  /** When the timer fires; Infinity when it is not armed. */
  private gapMs = Number.POSITIVE_INFINITY;

  constructor(settings: LineSettings, counters: LineCounters, clock: Pick<Clock, "nowMs">, events: ReaderEvents) {
    this.settings = settings;
    this.counters = counters;
    this.clock = clock;
    this.events = events;
    this.nonsense = new NonsenseWatch(settings);
  }

  /** The device has been opened: nothing that came before belongs to what comes now. */
  begin(): void {
    const { framing, baudRate, maxMessage, gapMs } = this.settings;
    const { onFrame, onFraming } = this.events;
    const facts = { baudRate, maxMessage, gapMs };
    this.reader =
      framing === "auto"
        ? new AutoFraming(onFrame, this.counters, facts, onFraming)
        : framingOf(framing).reader(onFrame, this.counters, facts);
    this.nonsense.begin();
  }

  end(): void {
    clearTimeout(this.gap);
    this.gapMs = Number.POSITIVE_INFINITY;
    this.reader = undefined;
  }

  readonly push = (bytes: Uint8Array): void => {
    const nowMs = this.clock.nowMs();
    this.reader?.push(bytes, nowMs);
    const complaint = this.nonsense.complaint(this.counters, bytes.length, nowMs);
    if (complaint !== undefined) this.events.onNonsense(complaint);
    this.arm();
  };

  private arm(): void {
    const dueMs = this.reader?.dueMs;
    if (dueMs === undefined || dueMs >= this.gapMs) return;
    clearTimeout(this.gap);
    this.gapMs = dueMs;
    this.gap = setTimeout(this.onGap, Math.max(1, Math.ceil(dueMs - this.clock.nowMs())));
  }

  /** What came while the program was busy is read before anything is given up. */
  private readonly onGap = (): void => {
    this.gapMs = Number.POSITIVE_INFINITY;
    setImmediate(() => {
      this.reader?.tick(this.clock.nowMs());
      this.arm();
    });
  };
}
