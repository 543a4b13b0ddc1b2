/** The other broker, and as whom to come there. Paths are absolute. */
export interface UpstreamSettings {
  /** mqtt:, mqtts:, ws: or wss:, without a user name and a password. */
  readonly url: string;
  readonly userName: string | undefined;
  /** Of the URL; `passwordFile` is preferred. */
  readonly password: string | undefined;
  /** Read for each attempt, without the end of its line. */
  readonly passwordFile: string | undefined;
  readonly clientId: string;
  /** Authorities of the other broker's certificate, PEM; undefined: those of Node.js and of the system. */
  readonly ca: string | undefined;
  /** Ours, and its key, PEM. */
  readonly cert: string | undefined;
  readonly key: string | undefined;
  /** 5 is MQTT 5.0, 4 is 3.1.1. */
  readonly version: 4 | 5;
}
