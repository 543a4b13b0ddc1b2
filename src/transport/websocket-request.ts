import type { IncomingMessage } from "node:http";

/** What MQTT is called in an opening handshake: 3.1.1 and 5.0 by the first name, 3.1 by the other. */
const SUBPROTOCOLS = ["mqtt", "mqttv3.1"] as const;

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
  if (chosenSubprotocol(offeredBy(request)) === undefined) {
    const reason = "Offer the WebSocket subprotocol mqtt, as MQTT 5.0 wants it in section 6.";
    return { status: 400, reason };
  }
  return undefined;
}

/** What to say to a request that asks for no WebSocket. */
export function plainAnswer(request: IncomingMessage, place: WebSocketPlace): Refusal {
  const reason = "Here is MQTT over WebSocket: connect with an MQTT client.";
  return misplacedOf(request, place) ?? { status: 426, reason };
}

/** The subprotocol to answer with; undefined: none of the offered is MQTT. */
export function chosenSubprotocol(offered: readonly string[]): string | undefined {
  return SUBPROTOCOLS.find((name) => offered.includes(name));
}

/** The whole response, after which the connection is closed. */
export function refusalText({ status, reason }: Refusal): string {
  const body = `${reason}\n`;
  const more = status === 405 ? "Allow: GET\r\n" : status === 426 ? "Upgrade: websocket\r\n" : "";
  return (
    `HTTP/1.1 ${status} ${STATUS_TEXTS[status]}\r\nConnection: ${status === 426 ? "upgrade, " : ""}close\r\n${more}` +
    `Content-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  );
}

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

function offeredBy(request: IncomingMessage): string[] {
  return (request.headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
}
