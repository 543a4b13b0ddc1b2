import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";

/** What MQTT is called in an opening handshake: 3.1.1 and 5.0 by the first name, 3.1 by the other. */
const SUBPROTOCOLS = ["mqtt", "mqttv3.1"] as const;

/** Fixed by RFC 6455, section 1.3. */
const ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/** 16 bytes in base64. */
const KEY = /^[+/0-9A-Za-z]{22}==$/;
const VERSION = "13";

/** What a listener answers to. */
export interface WebSocketPlace {
  /** Paths of the URL, without a query: "/mqtt". */
  paths: readonly string[];
  /** Origins of pages that may connect, as browsers write them: "https://example.org:8443"; empty: all. */
  origins: readonly string[];
}

/** Why a request is not answered with a WebSocket. */
export interface Refusal {
  status: 400 | 403 | 404 | 405 | 426;
  /** One sentence for the person at the other end. */
  reason: string;
}

/** Judges a request that asks for a WebSocket; undefined: it may have one. */
export function refusalOf(request: IncomingMessage, place: WebSocketPlace): Refusal | undefined {
  const misplaced = misplacedOf(request, place);
  if (misplaced !== undefined) return misplaced;
  const { origin } = request.headers;
  if (origin !== undefined && place.origins.length > 0 && !place.origins.includes(origin.toLowerCase())) {
    return { status: 403, reason: "Pages of this origin may not connect: the broker's list of origins lacks it." };
  }
  if (chosenSubprotocol(request) === undefined) {
    const reason = "Offer the WebSocket subprotocol mqtt, as MQTT 5.0 wants it in section 6.";
    return { status: 400, reason };
  }
  if (request.headers.upgrade?.toLowerCase() !== "websocket") return PLAIN;
  if (request.headers["sec-websocket-version"] !== VERSION) {
    return { status: 426, reason: `Speak version ${VERSION} of WebSocket, as RFC 6455 describes it.` };
  }
  if (!KEY.test(request.headers["sec-websocket-key"] ?? "")) {
    return {
      status: 400,
      reason: "Send a Sec-WebSocket-Key, 16 bytes in base64, as RFC 6455 wants it in section 4.1.",
    };
  }
  return undefined;
}

/** The answer to a request without a `refusalOf`: from its end on the connection is a WebSocket. No extension is agreed on. */
export function acceptanceText(request: IncomingMessage): string {
  const accept = createHash("sha1").update(`${request.headers["sec-websocket-key"]}${ACCEPT_GUID}`).digest("base64");
  return (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
    `Sec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: ${chosenSubprotocol(request)}\r\n\r\n`
  );
}

/** What to say to a request that asks for no WebSocket. */
export function plainAnswer(request: IncomingMessage, place: WebSocketPlace): Refusal {
  return misplacedOf(request, place) ?? PLAIN;
}

/** The whole response, after which the connection is closed. */
export function refusalText({ status, reason }: Refusal): string {
  const body = `${reason}\n`;
  const upgrade = `Upgrade: websocket\r\nSec-WebSocket-Version: ${VERSION}\r\n`;
  const more = status === 405 ? "Allow: GET\r\n" : status === 426 ? upgrade : "";
  return (
    `HTTP/1.1 ${status} ${STATUS_TEXTS[status]}\r\nConnection: ${status === 426 ? "upgrade, " : ""}close\r\n${more}` +
    `Content-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  );
}

const PLAIN: Refusal = { status: 426, reason: "Here is MQTT over WebSocket: connect with an MQTT client." };

const STATUS_TEXTS: Readonly<Record<Refusal["status"], string>> = {
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  426: "Upgrade Required",
};

function misplacedOf(request: IncomingMessage, { paths }: WebSocketPlace): Refusal | undefined {
  const path = (request.url ?? "").split("?", 1)[0]!;
  if (!paths.includes(path)) return { status: 404, reason: `MQTT over WebSocket is at ${paths[0]}.` };
  if (request.method !== "GET") return { status: 405, reason: "A WebSocket is asked for with GET." };
  return undefined;
}

/** The subprotocol to answer with; undefined: none of the offered is MQTT. */
function chosenSubprotocol(request: IncomingMessage): string | undefined {
  const offered = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
  return SUBPROTOCOLS.find((name) => offered.includes(name));
}
