import { once } from "node:events";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import type { Link, Log, Peer } from "../../src/core/ports.ts";
import { TlsListener, type TlsListenerOptions } from "../../src/transport/tls.ts";
import { type KnownTime, WALL_CLOCK } from "../../src/transport/tls-clients.ts";
import { TlsFiles, type TlsSettings } from "../../src/transport/tls-files.ts";
import { Turn } from "../../src/transport/turn.ts";
import type { CertificateFolder } from "../support/certificates.ts";
import { Heard } from "./rig.ts";
import { portOf } from "./tcp-rig.ts";

/** A log that keeps its lines: "warn message {fields}". */
export class NotedLog implements Log {
  readonly lines: { level: string; message: string; fields: object }[] = [];

  enabled(): boolean {
    return true;
  }

  readonly error = this.noting("error");
  readonly warn = this.noting("warn");
  readonly info = this.noting("info");
  readonly debug = this.noting("debug");
  readonly trace = this.noting("trace");

  messages(level: string): string[] {
    return this.lines.filter((line) => line.level === level).map(({ message }) => message);
  }

  private noting(level: string) {
    return (message: string, fields: object = {}): void => void this.lines.push({ level, message, fields });
  }
}

/** What `TlsFiles` watches, changed by hand. */
export class HandWatch {
  readonly watched: string[][] = [];
  closes = 0;
  changed: () => void = () => {};

  readonly watch = (paths: readonly string[], changed: () => void) => {
    this.watched.push([...paths]);
    this.changed = changed;
    return { close: () => void this.closes++ };
  };
}

/** Settings with the certificate "server" of the folder. */
export function settingsOf(folder: CertificateFolder, more: Partial<TlsSettings> = {}): TlsSettings {
  return {
    certificates: [{ cert: folder.file("server.crt"), key: folder.file("server.key") }],
    clientCa: undefined,
    clientCrl: undefined,
    clientCert: "off",
    minVersion: "TLSv1.2",
    ciphers: undefined,
    ...more,
  };
}

/** A listener with all that happens to it. */
export class TlsDoor {
  readonly log = new NotedLog();
  readonly hand = new HandWatch();
  readonly turn = new Turn();
  readonly files: TlsFiles;
  readonly listener: TlsListener;
  readonly peers: Peer[] = [];
  readonly links: Link[] = [];
  readonly heards: Heard[] = [];
  private readonly clients: TLSSocket[] = [];

  constructor(settings: TlsSettings, options: Partial<TlsListenerOptions> = {}, time: Partial<KnownTime> = {}) {
    const { log } = this;
    this.files = new TlsFiles(settings, {
      log,
      watch: this.hand.watch,
      time: { ...WALL_CLOCK, ...time },
    });
    this.listener = this.at(0, options);
  }

  /** Another listener with these files; `port` 0 takes a free one. */
  at(port: number, options: Partial<TlsListenerOptions> = {}): TlsListener {
    const { log, files, turn } = this;
    return new TlsListener({ name: "main", host: "127.0.0.1", port, turn, log, files, ...options });
  }

  /** Handshakes that are under way. */
  get handshakes(): number {
    return (this.listener as unknown as { handshakes: { count: number } }).handshakes.count;
  }

  async open(): Promise<this> {
    await this.listener.listen((link) => {
      this.peers.push(link.peer);
      this.links.push(link);
      const heard = new Heard();
      this.heards.push(heard);
      return heard;
    });
    return this;
  }

  get port(): number {
    return portOf(this.listener);
  }

  /** The connection, its handshake done at the client's end. Rejects when that fails. */
  async dial(options: ConnectionOptions): Promise<TLSSocket> {
    const client = connect({ host: "127.0.0.1", port: this.port, servername: "localhost", ...options });
    this.clients.push(client);
    await once(client, "secureConnect");
    client.on("error", () => {});
    return client;
  }

  async close(): Promise<void> {
    for (const client of this.clients) client.destroy();
    for (const link of this.links) link.destroy();
    await this.listener.close();
  }
}
