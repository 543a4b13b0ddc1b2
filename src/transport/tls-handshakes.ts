import type { Socket } from "node:net";
import type { Server, TLSSocket } from "node:tls";
import type { Log } from "../core/ports.ts";
import { placeOf } from "./address.ts";
import { pskFailureOf } from "./psk.ts";
import { type ClientCertificates, codeOf } from "./tls-clients.ts";

/** What OpenSSL and Node.js say of a certificate, and what it means to whoever reads the log. */
const OF_CERTIFICATE: Record<string, string> = {
  CERT_HAS_EXPIRED: "the client's certificate has expired",
  CERT_NOT_YET_VALID: "the client's certificate is not valid yet, or this machine's clock is wrong",
  CERT_REVOKED: "the client's certificate is revoked",
  CRL_HAS_EXPIRED: "the list of revoked certificates has run out: make a new one",
  UNABLE_TO_GET_CRL: "there is no list of revoked certificates of the authority that issued the client's certificate",
  UNABLE_TO_GET_ISSUER_CERT: "the client's certificate is of an authority that is not trusted here",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "the client's certificate is of an authority that is not trusted here",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "the client's certificate is of an authority that is not trusted here",
  SELF_SIGNED_CERT_IN_CHAIN: "the client's certificate is of an authority that is not trusted here",
  DEPTH_ZERO_SELF_SIGNED_CERT: "the client's certificate is signed by itself, not by an authority that is trusted here",
  CERT_SIGNATURE_FAILURE: "the client's certificate was not signed by the authority that it names",
  INVALID_PURPOSE: "the client's certificate is not made for clients",
  INVALID_CA: "the client's certificate was signed by one that is not of an authority",
  PATH_LENGTH_EXCEEDED:
    "there are more authorities between the client's certificate and the first than that one allows",
  CERT_CHAIN_TOO_LONG: "there are too many authorities between the client's certificate and one that is trusted here",
  EE_KEY_TOO_SMALL: "the key of the client's certificate is too weak",
  CA_KEY_TOO_SMALL: "the key of an authority of the client's certificate is too weak",
  CA_MD_TOO_WEAK: "the client's certificate is signed in a way that is too weak",
  CRL_SIGNATURE_FAILURE: "the list of revoked certificates was not signed by the authority that it names",
  KEYUSAGE_NO_CRL_SIGN: "the authority of the client's certificate may not sign lists of revoked certificates",
  UNHANDLED_CRITICAL_EXTENSION: "the client's certificate, or one of an authority, has a rule that is not applied here",
  UNHANDLED_CRITICAL_CRL_EXTENSION: "the list of revoked certificates is one of changes, or of some certificates only",
  CERT_REJECTED: "the client's certificate, or one of an authority, cannot be understood",
  NO_CERTIFICATE: "the client has no certificate",
};
const OF_HANDSHAKE: Record<string, string> = {
  ERR_TLS_HANDSHAKE_TIMEOUT: "the client was silent",
  ECONNRESET: "the client closed the connection",
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: "the client has no certificate",
  ERR_SSL_UNSUPPORTED_PROTOCOL: "the client's version of TLS is too old",
  ERR_SSL_NO_SHARED_CIPHER: "the client knows none of the ciphers that are allowed here",
  ERR_SSL_WRONG_VERSION_NUMBER: "the client does not speak TLS",
  ERR_SSL_HTTP_REQUEST: "the client does not speak TLS but HTTP",
  ERR_SSL_PACKET_LENGTH_TOO_LONG: "the client does not speak TLS",
  ERR_SSL_NO_APPLICATION_PROTOCOL: "the client asks by ALPN for another protocol than mqtt",
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: "the client does not trust the server's certificate",
  ERR_SSL_TLS_ALERT_UNKNOWN_CA: "the client does not trust the server's certificate",
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: "the client refuses the server's certificate",
  ERR_SSL_SSL_TLS_ALERT_BAD_CERTIFICATE: "the client refuses the server's certificate",
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: "for the client the server's certificate has expired",
  ERR_SSL_SSL_TLS_ALERT_CERTIFICATE_EXPIRED: "for the client the server's certificate has expired",
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN: "the client refuses the server's certificate",
  ERR_SSL_SSL_TLS_ALERT_CERTIFICATE_UNKNOWN: "the client refuses the server's certificate",
};

/** Of a server's connections those whose handshake is not done: they are bounded in number, and failures are logged. */
export class Handshakes {
  private readonly listener: string;
  private readonly max: number;
  private readonly log: Log;
  private readonly sockets = new Map<string, Socket>();
  private shown: (place: string) => string = (place) => place;

  /** `max`: at a time, 1 or more; whoever comes then is turned away. */
  constructor(listener: string, max: number, log: Log) {
    this.listener = listener;
    this.max = max;
    this.log = log;
  }

  /**
   * `clients`: what their certificates are judged by before anybody else sees their connections. `shown`: what the log
   * says in place of the address that a connection comes from.
   */
  follow(server: Server, clients: ClientCertificates, shown?: (place: string) => string): void {
    if (shown !== undefined) this.shown = shown;
    // Before those of the server itself, which begins the handshake.
    server.prependListener("connection", (socket: Socket) => this.begun(socket));
    server.prependListener("secureConnection", (socket: TLSSocket) => this.done(socket, clients));
    server.on("tlsClientError", (error, socket) => this.failed(error, socket));
  }

  /** Handshakes that are under way. */
  get count(): number {
    return this.sockets.size;
  }

  /** Ends all that are not done. */
  close(): void {
    for (const socket of this.sockets.values()) socket.destroy();
  }

  private begun(socket: Socket): void {
    const place = placeOf(socket);
    if (this.sockets.size >= this.max) {
      const fields = { listener: this.listener, address: this.shown(place) };
      this.log.warn("Connection turned away: too many clients are at their TLS handshake", fields);
      socket.destroy();
      return;
    }
    this.sockets.set(place, socket);
    socket.once("close", () => {
      if (this.sockets.get(place) === socket) this.sockets.delete(place);
    });
  }

  private done(socket: TLSSocket, clients: ClientCertificates): void {
    const address = placeOf(socket);
    this.sockets.delete(address);
    const verdict = clients.judge(socket);
    if (verdict === undefined) return;
    const fields = {
      listener: this.listener,
      address: this.shown(address),
      reason: wordsOf(verdict.problem),
      ...clients.times(),
    };
    if (verdict.isRefused) {
      this.log.info("TLS handshake failed", fields);
      socket.destroy();
    } else this.log.info("A client is let in without its certificate", fields);
  }

  private failed(error: NodeJS.ErrnoException, socket: TLSSocket): void {
    const address = this.shown(placeOf(socket));
    const reason = reasonOf(error, socket);
    this.log.info("TLS handshake failed", { listener: this.listener, ...(address !== "" && { address }), reason });
    socket.destroy();
  }
}

function wordsOf(code: string): string {
  return OF_CERTIFICATE[code] ?? `the client's certificate cannot be verified: ${code}`;
}

/** A certificate that fails the check ends the connection, and only the socket knows why. */
function reasonOf(error: NodeJS.ErrnoException, socket: TLSSocket): string {
  const ofCertificate = codeOf(socket);
  if (ofCertificate !== undefined) return wordsOf(ofCertificate);
  const reason = pskFailureOf(socket, error.code) ?? (error as { reason?: string }).reason;
  return OF_HANDSHAKE[error.code ?? ""] ?? reason ?? error.code ?? error.message;
}
