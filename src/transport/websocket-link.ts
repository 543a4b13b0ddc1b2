import { ReasonCode } from "../codec/reason.ts";
import type { Peer } from "../core/ports.ts";
import { StreamLink } from "./link.ts";
import type { Turn } from "./turn.ts";
import { CloseCode } from "./websocket-frames.ts";
import type { WebSocketStream } from "./websocket-stream.ts";

/** A client by WebSocket, which is told by the close code why it is ended. */
export class WebSocketLink extends StreamLink {
  private readonly webSocket: WebSocketStream;

  /** `stream`: to be handed no bytes before `open`. */
  constructor(stream: WebSocketStream, peer: Peer, turn: Turn) {
    // It calls a write back when its socket is done with the bytes, as a socket does.
    super(stream, peer, turn, false);
    this.webSocket = stream;
    stream.onBytes = (bytes, start, end) => this.receive(bytes, start, end);
  }

  override end(reasonCode: ReasonCode = ReasonCode.Success): void {
    this.webSocket.closeCode = closeCodeOf(reasonCode);
    super.end(reasonCode);
  }
}

/** What RFC 6455, section 7.4.1, has for a reason of MQTT's. */
export function closeCodeOf(reasonCode: ReasonCode): number {
  return reasonCode < ReasonCode.UnspecifiedError
    ? CloseCode.Normal
    : (CLOSE_CODES.get(reasonCode) ?? CloseCode.PolicyViolation);
}

/** The others of 0x80 and above are refusals: who may not do something, or wants too much. */
const CLOSE_CODES: ReadonlyMap<ReasonCode, number> = new Map<ReasonCode, number>([
  [ReasonCode.UnspecifiedError, CloseCode.InternalError],
  [ReasonCode.ImplementationSpecificError, CloseCode.InternalError],
  [ReasonCode.MalformedPacket, CloseCode.ProtocolError],
  [ReasonCode.ProtocolError, CloseCode.ProtocolError],
  [ReasonCode.UnsupportedProtocolVersion, CloseCode.ProtocolError],
  [ReasonCode.TopicFilterInvalid, CloseCode.ProtocolError],
  [ReasonCode.TopicNameInvalid, CloseCode.ProtocolError],
  [ReasonCode.ReceiveMaximumExceeded, CloseCode.ProtocolError],
  [ReasonCode.TopicAliasInvalid, CloseCode.ProtocolError],
  [ReasonCode.PacketTooLarge, CloseCode.TooBig],
  [ReasonCode.ServerShuttingDown, CloseCode.GoingAway],
  [ReasonCode.ServerUnavailable, CloseCode.TryAgainLater],
  [ReasonCode.ServerBusy, CloseCode.TryAgainLater],
]);
