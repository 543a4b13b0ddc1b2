import type { Duplex } from "node:stream";
import type { ReasonCode } from "../../codec/reason.ts";
import type { Accept, Peer } from "../../core/ports.ts";
import { StreamLink } from "../link.ts";
import type { Turn } from "../turn.ts";
import type { FarStream } from "./far-stream.ts";

/** The core's link to a client that another thread serves. */
export class FarLink extends StreamLink {
  private readonly far: FarStream;

  constructor(far: FarStream, peer: Peer, turn: Turn) {
    super(far as unknown as Duplex, peer, turn, false);
    this.far = far;
  }

  override open(accept: Accept): void {
    this.far.reader = this;
    super.open(accept);
  }

  /** The thread that serves the client tells it the reason, where the transport has words for one. */
  override end(reasonCode?: ReasonCode): void {
    this.far.reasonCode = reasonCode;
    super.end(reasonCode);
  }
}
