import { createSocket } from "node:dgram";
import { request } from "node:http";
import { request as requestByTls } from "node:https";
import { isIPv6 } from "node:net";
import type { FoundService } from "../../device/mdns/browse.ts";
import { plainReason } from "./connection-error.ts";
import {
  hostHeader,
  interrupted,
  type MqttAnswer,
  NoAnswer,
  noAnswerInTime,
  type SeenCertificate,
} from "./discover-answer.ts";
import { askMqtt } from "./discover-mqtt.ts";

/** What came of a connection to one address of a service. */
export interface TestResult {
  /** Undefined when there is none, or no port. */
  address?: string;
  /** It answers in the protocol that it says it speaks. */
  ok: boolean;
  /** What clients without any credentials are told; only of those that speak MQTT. */
  asks?: MqttAnswer["asks"];
  /** For people: "answers, and lets anonymous clients in". */
  says: string;
  certificate?: SeenCertificate;
}

/** The shortest message that a gateway answers (MQTT-SN 1.2, 5.4.2: SEARCHGW with radius 0), and the type of its answer. */
const SEARCHGW = Uint8Array.of(3, 0x01, 0);
const GWINFO = 0x02;
/** UDP loses packets: it is sent so often within the time. */
const SEARCHES = 3;

/** Connects to each address of a service, and says what came of it. Never rejects. `timeoutMs` is for each of them. */
export async function testService(
  service: FoundService,
  tls: boolean,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<TestResult[]> {
  const { addresses, port } = service;
  if (signal.aborted) return [{ ok: false, says: interrupted().message }];
  if (port === undefined) return [{ ok: false, says: "did not say where it is" }];
  if (port === 0) return [{ ok: false, says: "is not there any more: it says so by port 0" }];
  if (addresses.length === 0) return [{ ok: false, says: "has no address that anybody could connect to" }];
  const path = pathOf(service);
  // It goes into the first line of a request, where anything else could be made of it.
  if (path !== undefined && !/^\/[\x21-\x7e]*$/.test(path))
    return [{ ok: false, says: "has a path in its TXT record that is none" }];
  return await Promise.all(
    addresses.map(async (address): Promise<TestResult> => {
      const target: Target = { service, address, port, path, tls, timeoutMs, signal };
      try {
        return { address, ok: true, ...(await (TESTS[service.type] ?? testMqtt)(target)) };
      } catch (error) {
        if (error instanceof NoAnswer) return { address, ok: false, says: error.message, ...error.seen };
        return { address, ok: false, says: `cannot be reached: ${plainReason(error)}` };
      }
    }),
  );
}

function pathOf({ type, txt }: FoundService): string | undefined {
  if (type === "_mqtt-ws._tcp") return txt.get("path") ?? "/mqtt";
  return type === "_http._tcp" ? (txt.get("path") ?? "/") : undefined;
}

interface Target {
  service: FoundService;
  address: string;
  port: number;
  /** Of a URL, where there is one. */
  path: string | undefined;
  tls: boolean;
  timeoutMs: number;
  signal: AbortSignal;
}

type Outcome = Omit<TestResult, "address" | "ok">;

const TESTS: Readonly<Record<string, (target: Target) => Promise<Outcome>>> = {
  "_mqtt-sn._udp": testGateway,
  "_http._tcp": testHttp,
};

async function testMqtt({ service, ...target }: Target): Promise<Outcome> {
  const { host, txt } = service;
  const protocols = txt.get("proto")?.split(",") ?? [];
  // What is older than 5.0 speaks 3.1.1, and nearly all of what is newer does too.
  const version = protocols.includes("5") && !protocols.includes("3.1.1") ? 5 : 4;
  return await askMqtt({ ...target, host, version });
}

async function testGateway({ address, port, timeoutMs, signal }: Target): Promise<Outcome> {
  const socket = createSocket(isIPv6(address.replace(/%.*/, "")) ? "udp6" : "udp4");
  const timers: NodeJS.Timeout[] = [];
  try {
    return await new Promise<Outcome>((resolve, reject) => {
      const send = (): void => socket.send(SEARCHGW);
      signal.addEventListener("abort", () => reject(interrupted()), { once: true });
      socket.on("error", reject);
      socket.on("message", (bytes) => {
        if (bytes[0] !== bytes.length || bytes[1] !== GWINFO || bytes.length < 3) {
          reject(new NoAnswer("answers, but not in MQTT-SN 1.2"));
        } else resolve({ says: `answers as gateway ${bytes[2]}` });
      });
      socket.on("connect", () => {
        for (let sent = 0; sent < SEARCHES; sent++) timers.push(setTimeout(send, (sent * timeoutMs) / SEARCHES));
      });
      timers.push(setTimeout(() => reject(noAnswerInTime()), timeoutMs));
      socket.connect(port, address);
    });
  } finally {
    for (const timer of timers) clearTimeout(timer);
    socket.close();
  }
}

async function testHttp({ service, address, port, path, tls, timeoutMs, signal }: Target): Promise<Outcome> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const headers = { host: hostHeader(service.host, address, port), connection: "close" };
  const options = { host: address, port, path: path ?? "/", method: "GET", headers, signal: limit, agent: false };
  return await new Promise<Outcome>((resolve, reject) => {
    const call = tls ? requestByTls({ ...options, rejectUnauthorized: false }) : request(options);
    call.on("response", ({ statusCode }) => {
      resolve({ says: `answers: HTTP ${statusCode}` });
      call.destroy();
    });
    call.on("error", (error) => {
      if (signal.aborted) reject(interrupted());
      else if (limit.aborted) reject(noAnswerInTime());
      else reject(error.message.startsWith("Parse Error") ? new NoAnswer("answers, but not in HTTP") : error);
    });
    call.end();
  });
}
