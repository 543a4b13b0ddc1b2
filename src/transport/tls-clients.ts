import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import type { Log, PeerCertificate } from "../core/ports.ts";
import { namesOf } from "./certificate.ts";
import { chainProblem, type Trust, trustOf } from "./tls-chain.ts";

/** What time it is, on a machine whose clock may be wrong. */
export interface KnownTime {
  /** Milliseconds since 1970: what the clock says, or the earliest that it can be where that is later. */
  nowMs(): number;
  /** The clock says less than that, so it is wrong, and with it all that OpenSSL says of dates. */
  isBehind(): boolean;
  /** Somebody knows the clock to be right. */
  isTrusted(): boolean;
  /** It is that late at least. */
  learn(ms: number): void;
}

/** For a clock that is always right. */
export const WALL_CLOCK: KnownTime = {
  nowMs: () => Date.now(),
  isBehind: () => false,
  isTrusted: () => true,
  learn: () => {},
};

/** Longer chains are nobody's. */
const SENT_MAX = 8;

/**
 * Which certificates of clients count. OpenSSL says it where the machine's clock is right. It cannot be told another time:
 * where the clock is behind what is known, the chains are checked here, against that.
 */
export class ClientCertificates {
  private readonly mode: "off" | "optional" | "required";
  private readonly time: KnownTime;
  private readonly log: Log;
  private readonly good = new WeakMap<object, PeerCertificate>();
  private ca: string | undefined;
  private crl: string | undefined;
  private trust: Trust | undefined;

  constructor(mode: "off" | "optional" | "required", time: KnownTime, log: Log) {
    this.mode = mode;
    this.time = time;
    this.log = log;
  }

  /** The clock is wrong, and certificates are asked for: OpenSSL must let everybody by, and no session be resumed. */
  get areJudgedHere(): boolean {
    return this.mode !== "off" && this.time.isBehind();
  }

  /** PEM, as OpenSSL gets it. */
  use(ca: string | undefined, crl: string | undefined): void {
    this.ca = ca;
    this.crl = crl;
    this.trust = undefined;
  }

  /**
   * For every connection whose handshake is done, before anybody else may see it: what is wrong with its certificate, in
   * the codes of OpenSSL, and whether it must be closed for it. Undefined: nothing.
   */
  judge(socket: TLSSocket): { problem: string; isRefused: boolean } | undefined {
    if (this.mode === "off") return undefined;
    const isRefused = this.mode === "required";
    try {
      const shown = socket.getPeerX509Certificate();
      // Also of a resumed session, of which OpenSSL says that it is verified when there was none to verify.
      if (shown === undefined) return isRefused ? { problem: "NO_CERTIFICATE", isRefused } : undefined;
      const problem = this.time.isBehind() ? this.problemOf(shown) : this.problemFor(socket, shown);
      if (problem !== undefined) return { problem, isRefused };
      this.good.set(socket, namesOf(socket));
    } catch {
      // Node.js cannot read what a stranger has made: no reason to end the process, nor to let anybody in.
      return { problem: "CERT_REJECTED", isRefused };
    }
    if (this.time.isBehind()) {
      this.log.debug("A client's certificate is good by the last known time", { ...this.times() });
    }
    return undefined;
  }

  /** The certificate of a connection that `judge` has let in with it. */
  of(socket: object): PeerCertificate | undefined {
    return this.good.get(socket);
  }

  /** For the log, where they matter: what time the clock says and what is known. */
  times(): { clock?: string; known?: string } {
    if (!this.time.isBehind()) return {};
    return { clock: new Date().toISOString(), known: new Date(this.time.nowMs()).toISOString() };
  }

  private problemOf(shown: X509Certificate): string | undefined {
    this.trust ??= trustOf(this.ca ?? "", this.crl);
    return chainProblem(shown, sentWith(shown), this.trust, this.time.nowMs());
  }

  /** What OpenSSL has found. A session that is resumed was verified when it began: it may have expired since. */
  private problemFor(socket: TLSSocket, shown: X509Certificate): string | undefined {
    if (socket.authorized !== true) return codeOf(socket) ?? "CERT_REJECTED";
    return Date.parse(shown.validTo) > this.time.nowMs() ? undefined : "CERT_HAS_EXPIRED";
  }
}

/** What Node.js has kept of OpenSSL's verdict: a text, where its types say an error. */
export function codeOf(socket: TLSSocket): string | undefined {
  const found = socket.authorizationError as unknown as string | Error | null | undefined;
  if (!found) return undefined;
  return String(found instanceof Error ? found.message : found);
}

/** The rest of the chain. Some versions of Node.js (24.21 is one) do not tell a server; then our own file must have it. */
function sentWith(shown: X509Certificate): X509Certificate[] {
  const sent: X509Certificate[] = [];
  for (
    let next = shown.issuerCertificate;
    next !== undefined && sent.length < SENT_MAX;
    next = next.issuerCertificate
  ) {
    sent.push(next);
  }
  return sent;
}
