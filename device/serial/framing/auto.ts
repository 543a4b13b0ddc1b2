import {
  FRAMINGS,
  type Frame,
  type FrameReader,
  type Framing,
  type FramingName,
  type LineCounters,
  type LineFacts,
} from "./framing.ts";
import { isReadable } from "./message-shape.ts";
import { Pause } from "./pause.ts";

const FRAMES_THAT_DECIDE = 2;
/** Two valid frames count if they come within this time, and one if nothing contradicts it for so long. */
const DECISION_MS = 1000;
const ERRORS_THAT_UNDO = 20;
/** A framing without checksum waits for one with, but not for ever. */
const FRAMES_HELD_MAX = 8;

/** One framing on trial. Its counters are its own until it is chosen. */
interface Candidate {
  readonly framing: Framing;
  readonly reader: FrameReader;
  readonly counters: LineCounters;
  /** Valid frames since its last error. */
  held: Frame[];
  /** When the first of `held` came. */
  firstMs: number;
  errorsSeen: number;
}

/**
 * Reads a line whose framing nobody has told: all framings at once, octet by octet, so that how the octets were cut into
 * reads changes nothing. A framing is chosen at its second valid frame in a row within a second; or a second after its
 * first, if that has not been contradicted, since a client that waits for the answer to its CONNECT sends no second.
 * One without checksum needs messages that the codec can read, and waits while another one, with checksum, has had a
 * valid frame within the last second. The frames before the decision are passed on when it has been made. 20 errors
 * without a valid frame between them undo it.
 */
export class AutoFraming implements FrameReader {
  private readonly onFrame: (frame: Frame) => void;
  private readonly counters: LineCounters;
  private readonly line: LineFacts;
  private readonly onDecided: (name: FramingName) => void;
  private readonly pause: Pause;
  private readonly single = new Uint8Array(1);
  private candidates: Candidate[];
  private chosen: Candidate | undefined;
  /** Until then a framing with checksum is more likely than one without: it has had a valid frame. */
  private checkedUntilMs = Number.NEGATIVE_INFINITY;
  /** Of the chosen one: what has been added to `counters` already. */
  private told: LineCounters = zeroCounters();
  private toldSum = 0;
  /** Of the chosen one, at its last valid frame. */
  private errorsAtFrame = 0;
  private nowMs = 0;

  /**
   * `counters` get all octets at once, and the rest from the chosen framing: so `bytes` that grow without `frames` are a
   * line that no framing fits. `onDecided` is called before the frames that led to the decision are passed on.
   */
  constructor(
    onFrame: (frame: Frame) => void,
    counters: LineCounters,
    line: LineFacts,
    onDecided: (name: FramingName) => void,
  ) {
    this.onFrame = onFrame;
    this.counters = counters;
    this.line = line;
    this.onDecided = onDecided;
    this.pause = new Pause(line, false);
    this.candidates = this.allCandidates();
  }

  /** What to write with; undefined until the line has been understood. */
  get encoding(): Framing | undefined {
    return this.chosen?.framing;
  }

  get dueMs(): number | undefined {
    if (this.chosen !== undefined) return this.chosen.reader.dueMs;
    let due = Number.POSITIVE_INFINITY;
    for (const candidate of this.candidates) {
      due = Math.min(due, candidate.reader.dueMs ?? due, this.decisionMs(candidate));
    }
    return due === Number.POSITIVE_INFINITY ? undefined : due;
  }

  tick(nowMs: number): void {
    this.nowMs = nowMs;
    if (this.chosen === undefined) {
      for (const candidate of this.candidates) {
        candidate.reader.tick(nowMs);
        noteErrors(candidate);
      }
      this.decide();
    } else {
      this.chosen.reader.tick(nowMs);
      this.review(this.chosen);
    }
  }

  push(bytes: Uint8Array, nowMs: number): void {
    if (bytes.length === 0) return;
    const due = this.dueMs;
    const wasBusy = this.pause.wasBusy(nowMs, bytes.length);
    if (due !== undefined && nowMs >= due && !wasBusy) this.tick(nowMs);
    this.counters.bytes += bytes.length;
    // Octets of a line that was busy all the time came one after the other, whenever they were read.
    const from = wasBusy ? this.pause.lastMs : nowMs;
    const step = (nowMs - from) / bytes.length;
    for (let at = 0; at < bytes.length; at++) {
      this.single[0] = bytes[at]!;
      this.feed(from + step * (at + 1));
    }
    this.pause.lastMs = nowMs;
  }

  private feed(nowMs: number): void {
    this.nowMs = nowMs;
    if (this.chosen === undefined) {
      for (const candidate of this.candidates) {
        candidate.reader.push(this.single, nowMs);
        noteErrors(candidate);
      }
      this.decide();
    } else {
      this.chosen.reader.push(this.single, nowMs);
      this.review(this.chosen);
    }
  }

  private allCandidates(): Candidate[] {
    return FRAMINGS.map((framing) => {
      const counters = zeroCounters();
      const reader = framing.reader((frame) => this.take(candidate, frame), counters, this.line);
      const candidate: Candidate = { framing, reader, counters, held: [], firstMs: 0, errorsSeen: 0 };
      return candidate;
    });
  }

  private take(candidate: Candidate, frame: Frame): void {
    if (candidate === this.chosen) {
      this.review(candidate);
      this.onFrame(frame);
      return;
    }
    noteErrors(candidate);
    if (!candidate.framing.hasChecksum && !isReadable(frame.message)) {
      candidate.held = [];
      return;
    }
    if (candidate.held.length === 0) candidate.firstMs = this.nowMs;
    candidate.held.push(frame);
    if (candidate.framing.hasChecksum) this.checkedUntilMs = this.nowMs + DECISION_MS;
  }

  private decide(): void {
    const best = this.candidates.find((candidate) => this.decisionMs(candidate) <= this.nowMs);
    if (best === undefined) return;
    this.chosen = best;
    this.candidates = [];
    this.told = zeroCounters();
    this.toldSum = 0;
    this.errorsAtFrame = errorsOf(best.counters);
    this.tell(best.counters);
    const frames = best.held;
    best.held = [];
    this.onDecided(best.framing.name);
    for (const frame of frames) this.onFrame(frame);
  }

  /** Adds what the chosen reader has counted, and doubts it when that is errors alone. */
  private review(chosen: Candidate): void {
    const { frames, checksumErrors, resyncs, discardedBytes } = chosen.counters;
    // Counts only grow, so equal sums are equal counts; and at most octets nothing happens.
    const sum = frames + checksumErrors + resyncs + discardedBytes;
    if (sum === this.toldSum) return;
    this.toldSum = sum;
    const errors = errorsOf(chosen.counters);
    if (frames > this.told.frames) this.errorsAtFrame = errors;
    this.tell(chosen.counters);
    if (errors - this.errorsAtFrame < ERRORS_THAT_UNDO) return;
    this.chosen = undefined;
    this.candidates = this.allCandidates();
  }

  private tell(counters: LineCounters): void {
    for (const name of ["frames", "checksumErrors", "resyncs", "discardedBytes"] as const) {
      this.counters[name] += counters[name] - this.told[name];
      this.told[name] = counters[name];
    }
  }

  /** When the candidate is to be chosen, as far as can be told now. */
  private decisionMs({ framing, held, firstMs }: Candidate): number {
    if (held.length === 0) return Number.POSITIVE_INFINITY;
    const own = held.length >= FRAMES_THAT_DECIDE ? firstMs : firstMs + DECISION_MS;
    const isPreferred = framing.hasChecksum || held.length >= FRAMES_HELD_MAX;
    return isPreferred ? own : Math.max(own, this.checkedUntilMs);
  }
}

/** Frames count in a row only. */
function noteErrors(candidate: Candidate): void {
  const errors = errorsOf(candidate.counters);
  if (errors !== candidate.errorsSeen) candidate.held = [];
  candidate.errorsSeen = errors;
}

function errorsOf({ checksumErrors, resyncs }: LineCounters): number {
  return checksumErrors + resyncs;
}

function zeroCounters(): LineCounters {
  return { frames: 0, bytes: 0, checksumErrors: 0, resyncs: 0, discardedBytes: 0 };
}
