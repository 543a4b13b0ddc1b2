import { type ProtocolVersion, VARIABLE_BYTE_INTEGER_MAX } from "../codec/constants.ts";
import type { Entrance } from "./entrance.ts";
import { MountPoint, mountPointFor } from "./mount.ts";
import type { BrokerOptions } from "./options.ts";

/** The fixed header adds at most five bytes to the largest Remaining Length. */
const PACKET_BYTES_MAX = VARIABLE_BYTE_INTEGER_MAX + 5;

/** What holds for the clients of one entrance: the broker's options, where the entrance does not narrow them. */
export class Terms {
  readonly maximumQos: 0 | 1 | 2;
  readonly receiveMaximum: number;
  readonly topicAliasMaximum: number;
  /** The largest packet that is accepted, fixed header included, 5.0 §3.2.2.3.6. */
  readonly packetBytesMax: number;
  readonly keepAliveMax: number | undefined;
  private readonly versions: readonly ProtocolVersion[] | undefined;
  private readonly template: string | undefined;
  /** Where the mount point is the same for all. */
  private readonly point: MountPoint | undefined;

  constructor({ versions, mountPoint, limits = {} }: Entrance, options: BrokerOptions) {
    const { keepAliveMax } = options;
    this.maximumQos = lower(limits.maximumQos, options.maximumQos);
    this.receiveMaximum = lower(limits.receiveMaximum, options.receiveMaximum);
    this.topicAliasMaximum = lower(limits.topicAliasMaximum, options.topicAliasMaximum);
    this.packetBytesMax = Math.min(lower(limits.maximumPacketSize, options.maximumPacketSize), PACKET_BYTES_MAX);
    this.keepAliveMax = keepAliveMax === undefined ? limits.keepAliveMax : lower(limits.keepAliveMax, keepAliveMax);
    this.versions = versions;
    this.template = mountPoint;
    const isFixed = mountPoint !== undefined && !/%[cu]/.test(mountPoint);
    this.point = isFixed ? new MountPoint(mountPoint) : undefined;
  }

  accepts(version: ProtocolVersion): boolean {
    return this.versions === undefined || this.versions.includes(version);
  }

  /** Undefined: there is none. False: none can be made of the names. */
  mountPoint(clientId: string, userName: string | undefined): MountPoint | false | undefined {
    const { template, point } = this;
    if (template === undefined || point !== undefined) return point;
    const prefix = mountPointFor(template, clientId, userName);
    return prefix === undefined ? false : new MountPoint(prefix);
  }
}

function lower<Value extends number>(own: Value | undefined, general: Value): Value {
  return own !== undefined && own < general ? own : general;
}
