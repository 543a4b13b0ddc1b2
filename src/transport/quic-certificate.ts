import { X509Certificate } from "node:crypto";
import { EventEmitter } from "node:events";
import type { SecureContextOptions, Server } from "node:tls";
import type { PeerCertificate } from "../core/ports.ts";
import { readAltNames } from "./certificate.ts";
import type { QuicSession } from "./quic-library.ts";
import type { TlsFiles } from "./tls-files.ts";

/** What a QUIC server shows and asks for, in PEM. */
export interface QuicCertificate {
  readonly cert: string;
  readonly key: string;
  /** Authorities of clients; undefined: clients are not asked for certificates. */
  readonly ca: string | undefined;
  readonly clientAuth: "none" | "request" | "require";
}

/** Follows the files of TLS as a TLS server does, for a server that is not Node.js's. */
export class QuicCertificates extends EventEmitter {
  /** The newest; there once it is attached. */
  current: QuicCertificate | undefined;
  private readonly files: TlsFiles;
  private readonly clientAuth: QuicCertificate["clientAuth"];
  private readonly changed: () => void;

  /** `changed`: told of every certificate but the first. */
  constructor(files: TlsFiles, clientAuth: QuicCertificate["clientAuth"], changed: () => void) {
    super();
    this.files = files;
    this.clientAuth = clientAuth;
    this.changed = changed;
  }

  /** Rejects as `TlsFiles.open` does. */
  async open(): Promise<QuicCertificate> {
    await this.files.open();
    // It asks nothing more of a server than to take what is new, and to say when it closes.
    this.files.attach(this as unknown as Server);
    return this.current!;
  }

  close(): void {
    this.emit("close");
    this.files.close();
  }

  setSecureContext({ cert, key, ca }: SecureContextOptions): void {
    const { clientAuth, current: before } = this;
    const next = { cert: String(cert), key: String(key), ca: ca === undefined ? ca : String(ca), clientAuth };
    if (before?.cert === next.cert && before.key === next.key && before.ca === next.ca) return;
    this.current = next;
    if (before !== undefined) this.changed();
  }
}

/** Whether nobody would take it any more. */
export function hasExpired({ cert }: QuicCertificate, nowMs: number): boolean {
  return new X509Certificate(cert).validToDate.getTime() <= nowMs;
}

/** The names in the certificate that the client has proved to own; undefined: it has shown none, or none to be read. */
export function clientCertificateOf(session: QuicSession): PeerCertificate | undefined {
  const certificate = certificateOf(session);
  if (certificate === undefined) return undefined;
  const { subject, subjectaltname } = certificate.toLegacyObject();
  const commonName: unknown = subject?.CN;
  // Of several common names none is the name.
  return {
    commonName: typeof commonName === "string" ? commonName : "",
    subjectAltNames: readAltNames(subjectaltname ?? ""),
  };
}

/** It was read by another library, which may take what Node.js does not. */
function certificateOf(session: QuicSession): X509Certificate | undefined {
  try {
    const certificate = session.getPeerCertificate() ?? undefined;
    // To read the names of one whose key it cannot read would end Node.js; to ask for the key throws.
    void certificate?.publicKey;
    return certificate;
  } catch {
    return undefined;
  }
}
