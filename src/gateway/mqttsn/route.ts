import type { GatewayAccept, Peer } from "../../core/ports.ts";

/** The way to one client: an address on a network, a serial line, a radio node behind either. */
export interface Route {
  /** The same for each message that comes this way, and for no other way. */
  readonly key: string;
  readonly peer: Peer;
  /** Who is to be slowed when too much comes: the address without its port, the line. */
  readonly origin: string;
  /** Of a message, with its length octets. */
  readonly maxBytes: number;
  /** How much of what is sent this way arrives whole at present, 0 to 1; undefined where nobody can tell. */
  readonly linkQuality?: number | undefined;
  /** Where the broker takes up the clients that come this way. */
  readonly accept: GatewayAccept;
  /** Sends one whole message. Never throws; what cannot be sent is lost, as on any such network. */
  send(message: Uint8Array): void;
  /**
   * The client has answered REGISTER, PUBLISH or PUBREL so many milliseconds after it was sent; of none that was sent more
   * than once, since nobody knows to which of these the answer is (Karn's rule). Never throws.
   */
  answered?(roundTripMs: number): void;
  /**
   * Something was sent again this way: by the gateway, which had no answer, or by the client (DUP), which had none though
   * none was being prepared. What is repeated after an answer of congestion is not counted: nothing was lost. Never throws.
   */
  retried?(): void;
  /** Sends one whole message to all who listen where this way comes from, where there is such a thing. */
  sendToAll?(message: Uint8Array): void;
}
