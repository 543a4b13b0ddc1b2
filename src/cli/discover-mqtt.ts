import { randomBytes, X509Certificate } from "node:crypto";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { factsOf } from "../certs/facts.ts";
import { dateOf } from "../certs/validity.ts";
import { decodeConnack } from "../codec/connack.ts";
import { encodeConnect } from "../codec/connect.ts";
import { PacketType } from "../codec/constants.ts";
import { encodeDisconnect } from "../codec/disconnect.ts";
import { FrameSplitter } from "../codec/frame.ts";
import { type Connack, NO_PROPERTIES } from "../codec/packet.ts";
import { ConnectReturnCode, ProtocolError, ReasonCode } from "../codec/reason.ts";
import { plainReason, RETURN_CODES, reasonName } from "./connection-error.ts";
import {
  hostHeader,
  interrupted,
  type MqttAnswer,
  NoAnswer,
  noAnswerInTime,
  type SeenCertificate,
} from "./discover-answer.ts";
import { openWebSocket, type Wire } from "./discover-websocket.ts";

/** Where to connect to, as whom nobody is known. */
export interface MqttTarget {
  address: string;
  port: number;
  tls: boolean;
  /** The name for which the server chooses its certificate. */
  host: string | undefined;
  /** Of a WebSocket; undefined: without one. */
  path: string | undefined;
  version: 4 | 5;
  timeoutMs: number;
  signal: AbortSignal;
}

/** A CONNACK is shorter; reason strings and the like are part of it. */
const CONNACK_BYTES_MAX = 65_536;
const KEEP_ALIVE_SECONDS = 10;

/** Alerts of TLS by which a server says that it wants a certificate: 1.3 has one of its own, 1.2 none that is sure. */
const CERTIFICATE_REQUIRED = 116;
const BAD_CERTIFICATE = 42;
const HANDSHAKE_FAILURE = 40;

/**
 * Connects as an anonymous client, and leaves again. Certificates are not checked but told. Throws NoAnswer when it does not
 * speak MQTT, and the error of the connection when there is none.
 */
export async function askMqtt(target: MqttTarget): Promise<MqttAnswer> {
  const socket = open(target);
  // What still goes wrong when the answer is there concerns nobody.
  socket.on("error", () => {});
  const timer = setTimeout(() => socket.destroy(noAnswerInTime()), target.timeoutMs);
  const onAbort = (): void => void socket.destroy(interrupted());
  target.signal.addEventListener("abort", onAbort, { once: true });
  const seen: { certificate?: SeenCertificate } = {};
  socket.once("secureConnect", () => {
    const certificate = certificateOf(socket as TLSSocket);
    if (certificate !== undefined) seen.certificate = certificate;
  });
  try {
    const answer = answerOf(await connack(socket, target), target.version);
    return { ...answer, says: `${answer.says}${certificateText(seen.certificate)}`, ...seen };
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    const alert = Number(/SSL alert number (\d+)/.exec(message)?.[1]);
    if (alert === CERTIFICATE_REQUIRED || alert === BAD_CERTIFICATE) {
      const says = `asks for a client certificate${certificateText(seen.certificate)}`;
      return { asks: "certificate", says, ...seen };
    }
    if (alert === HANDSHAKE_FAILURE) {
      throw new NoAnswer("refuses the TLS handshake: does it ask for a client certificate?", seen);
    }
    if (error instanceof NoAnswer) throw new NoAnswer(error.message, seen);
    if (code === "EPROTO" || code.startsWith("ERR_SSL_"))
      throw new NoAnswer(`does not speak TLS as it should: ${plainReason(error)}`, seen);
    throw error;
  } finally {
    clearTimeout(timer);
    target.signal.removeEventListener("abort", onAbort);
    // What was written goes out before.
    socket.destroySoon();
  }
}

function open({ address, port, tls, host }: MqttTarget): Socket {
  const where = { host: address, port };
  if (!tls) return connectTcp(where);
  const isName = host !== undefined && isIP(host) === 0 && /^[\w.-]+$/.test(host);
  return connectTls({ ...where, rejectUnauthorized: false, ...(isName ? { servername: host } : {}) });
}

async function connack(socket: Socket, { path, host, address, port, version }: MqttTarget): Promise<Connack> {
  const client = encodeConnect({
    type: PacketType.CONNECT,
    protocolVersion: version,
    cleanStart: true,
    keepAliveSeconds: KEEP_ALIVE_SECONDS,
    clientId: `discover-${randomBytes(4).toString("hex")}`,
    will: undefined,
    userName: undefined,
    password: undefined,
    properties: NO_PROPERTIES,
    bridge: false,
  });
  const goodbye = encodeDisconnect(
    { type: PacketType.DISCONNECT, reasonCode: ReasonCode.Success, properties: NO_PROPERTIES },
    version,
  );
  const wire =
    path === undefined ? plainWire(socket) : await openWebSocket(socket, path, hostHeader(host, address, port));
  let found: Connack | undefined;
  const splitter = new FrameSplitter(
    {
      onFrame: (bytes, start, bodyStart, end) => {
        if (bytes[start] !== PacketType.CONNACK << 4) throw new NoAnswer("answers, but not with CONNACK");
        found ??= decodeConnack(bytes, bodyStart, end, version);
      },
    },
    CONNACK_BYTES_MAX,
  );
  splitter.version = version;
  try {
    wire.send(client);
    for await (const bytes of wire.bytes) {
      splitter.push(bytes, 0, bytes.length);
      if (found === undefined) continue;
      if (found.reasonCode === ReasonCode.Success) wire.send(goodbye);
      return found;
    }
  } catch (error) {
    if (error instanceof ProtocolError) throw new NoAnswer("answers, but not in MQTT");
    throw error;
  }
  throw new NoAnswer("closes the connection without an answer to CONNECT");
}

function plainWire(socket: Socket): Wire {
  const bytes = socket.iterator({ destroyOnReturn: false }) as AsyncIterableIterator<Uint8Array>;
  return { send: (sent) => void socket.write(sent), bytes };
}

/** Reason codes and Connect Return codes by which a server asks who it is. */
const ASKS_PASSWORD: ReadonlySet<number> = new Set([
  ConnectReturnCode.BadUserNameOrPassword,
  ConnectReturnCode.NotAuthorized,
  ReasonCode.BadUserNameOrPassword,
  ReasonCode.NotAuthorized,
  ReasonCode.BadAuthenticationMethod,
]);

function answerOf({ reasonCode }: Connack, version: 4 | 5): MqttAnswer {
  if (reasonCode === ReasonCode.Success) return { asks: "nothing", says: "answers, and lets anonymous clients in" };
  if (ASKS_PASSWORD.has(reasonCode)) {
    return { asks: "password", says: "answers, and asks who it is: anonymous clients are refused" };
  }
  const reason = version === 5 ? reasonName(reasonCode) : RETURN_CODES[reasonCode]!.replace(/\.$/, "");
  return { asks: "other", says: `answers, and refuses: ${reason}` };
}

function certificateOf(socket: TLSSocket): SeenCertificate | undefined {
  const certificate = socket.getPeerX509Certificate();
  if (!(certificate instanceof X509Certificate)) return undefined;
  const { commonName, issuer, names, validity, fingerprint } = factsOf(certificate);
  return {
    commonName,
    issuer,
    names: names.map(({ value }) => value),
    until: dateOf(validity.untilMs),
    isExpired: validity.untilMs <= Date.now(),
    fingerprint,
  };
}

function certificateText(certificate: SeenCertificate | undefined): string {
  if (certificate === undefined) return "";
  const { commonName, issuer, names, until, isExpired, fingerprint } = certificate;
  const whose = [commonName, names.length === 0 ? "" : `(${names.join(", ")})`].filter((text) => text !== "").join(" ");
  const end = isExpired ? `EXPIRED ${until}` : `until ${until}`;
  return `; certificate ${whose || "without a name"}, signed by ${issuer || "nobody named"}, ${end}, SHA-256 ${fingerprint}`;
}
