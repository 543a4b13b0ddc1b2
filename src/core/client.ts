import type { ProtocolVersion } from "../codec/constants.ts";
import type { Identity } from "./access.ts";
import { type Entrance, NO_ENTRANCE } from "./entrance.ts";
import type { LogFields, Peer } from "./ports.ts";

/** Who a connection speaks for: what hooks, access decisions and log lines are told. Fixed at CONNECT. */
export class Client {
  readonly clientId: string;
  readonly userName: string | undefined;
  readonly protocolVersion: ProtocolVersion;
  readonly cleanStart: boolean;
  /** After Server Keep Alive and the caps have been applied. */
  readonly keepAliveSeconds: number;
  readonly peer: Peer;
  /** True for the broker's own client, which passes no ACL and no topic check. */
  readonly inline: boolean;
  /** What its listener asks of it. */
  readonly entrance: Entrance;
  /** Who it is by the access rules; undefined where they don't say, or it has not been asked since a restart. */
  identity: Identity | undefined = undefined;
  /** Its connection has ended: what is asked of it now is what its session, or its will, may have. */
  isAway = false;

  constructor(
    clientId: string,
    userName: string | undefined,
    protocolVersion: ProtocolVersion,
    cleanStart: boolean,
    keepAliveSeconds: number,
    peer: Peer,
    inline = false,
    entrance: Entrance = NO_ENTRANCE,
  ) {
    this.clientId = clientId;
    this.userName = userName;
    this.protocolVersion = protocolVersion;
    this.cleanStart = cleanStart;
    this.keepAliveSeconds = keepAliveSeconds;
    this.peer = peer;
    this.inline = inline;
    this.entrance = entrance;
  }

  /** The fields by which every log line of a client names it. */
  logFields(): LogFields {
    return {
      client: this.clientId,
      user: this.userName ?? this.identity?.name,
      address: this.peer.address,
      listener: this.peer.listener,
    };
  }
}

export const NO_PEER: Peer = { address: "", local: true, listener: "", transport: "none" };
