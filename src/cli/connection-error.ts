import { getSystemErrorMessage } from "node:util";
import { reasonText } from "../codec/reason.ts";
import { ExitCode } from "./client-io.ts";

/** Why there is no connection, or none any more. */
export class ConnectionError extends Error {
  readonly exitCode: number;
  /** True when the broker refused it in CONNACK: trying again would not help. */
  readonly refused: boolean;

  constructor(message: string, exitCode: number = ExitCode.Failed, refused = false) {
    super(message);
    this.name = "ConnectionError";
    this.exitCode = exitCode;
    this.refused = refused;
  }
}

/** The connection ended without anybody saying why. */
export function connectionLost(): ConnectionError {
  return new ConnectionError("Error: The connection was lost.", ExitCode.ConnectionLost);
}

/** A Reason Code or Connect Return code that MQTT.js put into an error. */
export function errorCode(error: Error | undefined): number | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === "number" ? code : undefined;
}

/** Connect Return codes of 3.x, in mosquitto's words: scripts look for them. */
export const RETURN_CODES: Readonly<Record<number, string>> = {
  1: "unacceptable protocol version.",
  2: "identifier rejected.",
  3: "broker unavailable.",
  4: "bad user name or password.",
  5: "not authorised.",
};

/** What MQTT.js or the operating system reported, in the words of mosquitto's clients. */
export function connectionError(error: Error, v5: boolean): ConnectionError {
  const code = errorCode(error);
  if (code !== undefined && error.message.startsWith("Connection refused")) {
    const text = v5 ? reasonName(code) : `Connection Refused: ${RETURN_CODES[code] ?? "unknown reason."}`;
    return new ConnectionError(`Connection error: ${text}`, code, true);
  }
  const name = (error as { code?: unknown }).code;
  if (name === "ENOTFOUND" || name === "EAI_AGAIN") return new ConnectionError("Unable to connect (Lookup error.).");
  return new ConnectionError(`Error: ${plainReason(error)}`);
}

/** "Not authorized", without the number. */
export function reasonName(code: number): string {
  return reasonText(code).replace(/ \(0x..\)$/, "");
}

/** The reason in a line of OpenSSL's error queue: "…:error:0A00045C:SSL routines:ssl3_read_bytes:REASON:…". */
const OPENSSL_REASON = /:error:[0-9A-F]+:[^:]*:[^:]*:([^:]+)/;

/** "Connection refused", "No such file or directory": what the operating system or OpenSSL said, without its codes. */
export function plainReason(error: unknown): string {
  const inner = error instanceof AggregateError ? error.errors[0] : error;
  const { errno, message } = inner as { errno?: number; message: string };
  const reason = OPENSSL_REASON.exec(message)?.[1];
  if (reason !== undefined) return `TLS: ${reason}`;
  const text = typeof errno === "number" ? getSystemErrorMessage(errno) : undefined;
  // Node.js adds advice about its own options, which nobody can follow here.
  return text === undefined
    ? message.replace(/; if the root CA is installed locally.*$/s, "")
    : `${text[0]?.toUpperCase()}${text.slice(1)}`;
}
