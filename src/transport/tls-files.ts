import { constants, createHmac, randomBytes } from "node:crypto";
import type { createSecureContext, SecureContext, SecureContextOptions, Server, TLSSocket, TlsOptions } from "node:tls";
import type { Log } from "../core/ports.ts";
import { keyFor, PSK_CIPHERS } from "./psk.ts";
import { listTexts } from "./tls-chain.ts";
import { ClientCertificates, type KnownTime, WALL_CLOCK } from "./tls-clients.ts";
import { type DatedState, ExpiryWatch } from "./tls-expiry.ts";
import { expiredOf, readTlsFiles, type ServerIdentity, type TlsContents, TlsFileError } from "./tls-read.ts";

/** The files of a server's TLS, by absolute path, and what is asked of clients. */
export interface TlsSettings {
  /**
   * The first is shown to clients that name no host, or one that no certificate is for. At least one, unless there is a
   * `pskFile`: without any, who knows a key can connect and nobody else.
   */
  readonly certificates: readonly { readonly cert: string; readonly key: string }[];
  /** Authorities of the clients' certificates; must be there unless `clientCert` is off. */
  readonly clientCa: string | undefined;
  /** Revoked certificates of clients: with it every authority of a chain needs a list that has not run out. */
  readonly clientCrl: string | undefined;
  /** `optional`: a client without a certificate, or with one that fails the check, is let in, but has no certificate. */
  readonly clientCert: "off" | "optional" | "required";
  readonly minVersion: "TLSv1.2" | "TLSv1.3";
  /** OpenSSL's list; undefined: those with forward secrecy and authenticated encryption. */
  readonly ciphers: string | undefined;
  /** Keys that clients of TLS 1.2 may prove to know in place of certificates; `clientCert` must not be "required" then. */
  readonly pskFile?: string | undefined;
  /** What such clients are told before they choose an identity, to help them: it is no secret. */
  readonly pskHint?: string | undefined;
}

export interface TlsFilesTools {
  log: Log;
  /** Calls `changed` after something happened to one of the paths. */
  watch(paths: readonly string[], changed: () => void): { close(): void };
  /** A clock that is right when it is left out. */
  time?: KnownTime;
  /** In place of `log` for what concerns single clients. */
  clientsLog?: Log;
  /** Resolves when threads that have the same files have read them again too. */
  spread?: () => Promise<void>;
  /** What the keys of resumed sessions are made of; threads that have it in common resume each other's. */
  ticketSecret?: Uint8Array;
}

/** The shorter key first, which is quicker and no weaker in practice. */
const CIPHERS_13 = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
/** Of TLS 1.2 what has forward secrecy and authenticated encryption, as clients of the last ten years have; in that order. */
const CIPHERS_12 = "ECDHE+AESGCM+AES128:ECDHE+AESGCM+AES256:ECDHE+CHACHA20";
/** Certificate and key are replaced one after the other: how often, and how long apart, one looks whether they fit. */
const ATTEMPTS = 8;
const PAUSE_MS = 250;
/** A handshake is work for us and little for the client, so one to a connection is all there is. */
const NO_RENEGOTIATION = constants.SSL_OP_NO_RENEGOTIATION;
/** OpenSSL wants 48 bytes, a name and two keys: as many as this gives. */
const TICKET_HASH = "sha384";
const TICKET_SECRET_BYTES = 48;

/**
 * What TLS servers are made of, kept as its files are: what is new in them serves the next connection, and connections
 * that stand go on. A file that cannot be used is named in the log, and what was in force stays in force.
 */
export class TlsFiles {
  /** Which of the certificates that clients show count. */
  readonly clients: ClientCertificates;
  private readonly settings: TlsSettings;
  private readonly tools: TlsFilesTools;
  private readonly time: KnownTime;
  private readonly expiry: ExpiryWatch;
  private readonly servers = new Set<Server>();
  /** How many have opened this and not closed it again. */
  private users = 0;
  private makeContext: typeof createSecureContext | undefined;
  private contents: TlsContents | undefined;
  private contexts: readonly { identity: ServerIdentity; context: SecureContext }[] = [];
  private readonly ticketSecret: Uint8Array;
  private ticketKeys: Buffer | undefined;
  private watch: { close(): void } | undefined;
  private reading: Promise<void> = Promise.resolve();
  /** The last complaint, so that it is not repeated for each touch of a file. */
  private told = "";

  constructor(settings: TlsSettings, tools: TlsFilesTools) {
    this.settings = settings;
    this.tools = tools;
    this.time = tools.time ?? WALL_CLOCK;
    this.clients = new ClientCertificates(settings.clientCert, this.time, tools.clientsLog ?? tools.log);
    this.ticketSecret = tools.ticketSecret ?? randomBytes(TICKET_SECRET_BYTES);
    this.expiry = new ExpiryWatch(tools.log, this.time);
  }

  /**
   * Reads the files and follows them until each who opened has closed. Rejects with a message that names the file and the
   * reason; then there is nothing to close.
   */
  async open(): Promise<void> {
    this.users++;
    try {
      // Slow to load, and mostly not needed.
      this.makeContext ??= (await import("node:tls")).createSecureContext;
      // Before the reading: what changes meanwhile is seen.
      this.watch ??= this.tools.watch(this.paths, () => void this.look());
      if (this.users === 1 || this.contents === undefined) {
        this.use(await readTlsFiles(this.settings));
        this.sayWhoJudges();
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** For `tls.createServer`; `open` must be done. `protocols`: those of ALPN, which a client need not offer. */
  serverOptions(protocols: string[] = ["mqtt"]): TlsOptions {
    const { clientCert, pskFile, pskHint } = this.settings;
    return {
      ...this.contextOptions(this.identities[0]),
      ALPNProtocols: protocols,
      requestCert: clientCert !== "off",
      rejectUnauthorized: clientCert === "required" && !this.clients.areJudgedHere,
      ...(this.settings.certificates.length > 1 && { SNICallback: this.onServerName }),
      ...(pskFile !== undefined && { pskCallback: this.onPskIdentity }),
      ...(pskHint !== undefined && { pskIdentityHint: pskHint }),
    };
  }

  /** The server gets what the files have from now on, until it closes. */
  attach(server: Server): void {
    this.servers.add(server);
    server.once("close", () => this.servers.delete(server));
    if (this.contents !== undefined) server.setSecureContext(this.contextOptions(this.identities[0]));
  }

  /** Reads the files again, also when no change was seen. Resolves when what they have is in force; never rejects. */
  reload(): Promise<void> {
    this.told = "";
    return this.look();
  }

  /** Once for each `open`: after the last the files are followed no more. The servers keep what they have. */
  close(): void {
    if (--this.users > 0) return;
    this.watch?.close();
    this.watch = undefined;
    this.expiry.close();
  }

  /** What is in use and has an end, and how near that is; nothing while no listener needs it. */
  get ends(): readonly DatedState[] {
    return this.closed ? [] : this.expiry.states();
  }

  private get paths(): string[] {
    const { certificates, clientCa, clientCrl, clientCert, pskFile } = this.settings;
    const ofClients = [...(clientCert === "off" ? [] : [clientCa, clientCrl]), pskFile];
    const all = [...certificates.flatMap(({ cert, key }) => [cert, key]), ...ofClients];
    return [...new Set(all.filter((path) => path !== undefined))];
  }

  private get closed(): boolean {
    return this.watch === undefined;
  }

  private get identities(): readonly ServerIdentity[] {
    if (this.contents === undefined) throw new Error("The files of TLS have not been opened");
    return this.contents.identities;
  }

  private sayWhoJudges(): void {
    if (!this.clients.areJudgedHere) return;
    const message =
      "This machine's clock is behind the last known time: certificates of clients are checked against that time, and TLS sessions are not resumed; set the clock, or say --clock trusted if it is right";
    this.tools.log.warn(message, this.clients.times());
  }

  /** One reading after the other. */
  private look(): Promise<void> {
    this.reading = this.reading.then(() => this.readAgain());
    return this.reading;
  }

  private async readAgain(): Promise<void> {
    for (let attempt = 1; !this.closed; attempt++) {
      try {
        const contents = await readTlsFiles(this.settings);
        if (this.closed) return;
        const same = isSame(contents, this.contents);
        if (!same) this.demandNotWorse(contents);
        this.told = "";
        if (same) return;
        const what = this.contents?.psk?.text === contents.psk?.text ? "Certificates" : "Certificates and keys";
        this.use(contents);
        await this.tools.spread?.();
        this.tools.log.info(`${what} were read again: new connections use them`);
        return;
      } catch (error) {
        if (attempt >= ATTEMPTS) {
          this.complain((error as Error).message);
          return;
        }
      }
      await new Promise<void>((resolve) => setTimeout(resolve, PAUSE_MS).unref());
    }
  }

  /** One that has expired takes the place of such a one, and not of one that is good. */
  private demandNotWorse(contents: TlsContents): void {
    const nowMs = this.time.nowMs();
    const expired = expiredOf(this.settings, contents, nowMs);
    if (expired === undefined) return;
    if (this.contents === undefined || expiredOf(this.settings, this.contents, nowMs) !== undefined) return;
    throw new TlsFileError(expired);
  }

  private complain(reason: string): void {
    if (this.closed || reason === this.told) return;
    this.told = reason;
    this.tools.log.error(`${reason}. What was in force stays in force`);
  }

  private use(contents: TlsContents): void {
    this.ticketKeys = this.ticketKeysFor(contents);
    // What serves has begun; an authority may be put into the file before its time.
    const begun = contents.dated.filter(({ kind }) => kind !== "authority").map(({ validFromMs }) => validFromMs);
    this.time.learn(Math.max(0, ...begun));
    this.clients.use(contents.ca, contents.crl);
    const contexts = contents.identities.map((identity) => ({
      identity,
      context: this.makeContext!(this.contextOptions(identity, contents)),
    }));
    this.contents = contents;
    this.contexts = contexts;
    for (const server of this.servers) server.setSecureContext(this.contextOptions(contents.identities[0]));
    this.expiry.follow(contents.dated);
  }

  /**
   * Who resumes a session is not checked again: so who was checked against other authorities, or asked for other things
   * elsewhere, must begin anew.
   */
  private ticketKeysFor({ ca, crl }: TlsContents): Buffer {
    return createHmac(TICKET_HASH, this.ticketSecret)
      .update(JSON.stringify([this.settings, ca, crl]))
      .digest();
  }

  private contextOptions(
    identity: ServerIdentity | undefined,
    contents = this.contents!,
  ): SecureContextOptions & TlsOptions {
    const { ca, crl, psk } = contents;
    return {
      ...(identity !== undefined && { cert: identity.cert, key: identity.key }),
      // A client that knows a key would fail at a version that has no use for it.
      ...(identity === undefined && { maxVersion: "TLSv1.2" }),
      // Whose key it was, or the whole chain, is not known any more when a session is resumed, so none is.
      secureOptions:
        NO_RENEGOTIATION | (psk !== undefined || this.clients.areJudgedHere ? constants.SSL_OP_NO_TICKET : 0),
      ...(psk !== undefined && { dhparam: "auto" }),
      ...(ca !== undefined && { ca }),
      ...(crl !== undefined && { crl: listTexts(crl) }),
      minVersion: this.settings.minVersion,
      ciphers: ciphersOf(this.settings),
      honorCipherOrder: true,
      ticketKeys: this.ticketKeys,
      // Of sessions, so that one may be resumed with whatever certificate is shown.
      sessionIdContext: "mqtt-broker",
    };
  }

  private readonly onPskIdentity = (socket: TLSSocket, identity: string): Buffer | null =>
    keyFor(socket, identity, this.contents?.psk?.keys ?? new Map());

  private readonly onServerName = (
    name: string,
    answer: (error: Error | null, context?: SecureContext) => void,
  ): void => {
    answer(null, this.contexts.find(({ identity }) => isFor(identity, name))?.context ?? this.contexts[0]?.context);
  };
}

/**
 * A list without a name of TLS 1.3 says nothing of that version, which Node.js would take for a wish to be without it; nor
 * does one without PSK say anything of keys. Those come first: only a client that has one offers their ciphers.
 */
function ciphersOf({ ciphers = CIPHERS_12, pskFile }: TlsSettings): string {
  const withKeys = pskFile === undefined || ciphers.includes("PSK") ? ciphers : `${PSK_CIPHERS}:${ciphers}`;
  return ciphers.includes("TLS_") ? withKeys : `${CIPHERS_13}:${withKeys}`;
}

/** A name comes from the network, and what is no name at all makes `checkHost` throw. */
function isFor({ certificate }: ServerIdentity, name: string): boolean {
  try {
    return certificate.checkHost(name) !== undefined;
  } catch {
    return false;
  }
}

function isSame(one: TlsContents, other: TlsContents | undefined): boolean {
  if (other === undefined || one.ca !== other.ca || one.crl !== other.crl) return false;
  if (one.psk?.text !== other.psk?.text) return false;
  return one.identities.every(({ cert, key }, index) => {
    const before = other.identities[index];
    return before?.cert === cert && before.key === key;
  });
}
