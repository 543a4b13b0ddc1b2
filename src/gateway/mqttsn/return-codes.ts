import { ReasonCode } from "../../codec/reason.ts";
import { SnReturnCode } from "./codec/types.ts";

/** Reasons that may pass: trying again later makes sense, after T_WAIT, 1.2 §6.13. */
const PASSING: ReadonlySet<number> = new Set([
  ReasonCode.ServerUnavailable,
  ReasonCode.ServerBusy,
  ReasonCode.ServerShuttingDown,
  ReasonCode.MessageRateTooHigh,
  ReasonCode.QuotaExceeded,
  ReasonCode.ReceiveMaximumExceeded,
  ReasonCode.ConnectionRateExceeded,
]);

/** What MQTT-SN has for a Reason Code of MQTT 5.0: four numbers in all. */
export function returnCodeOf(reasonCode: number): SnReturnCode {
  if (reasonCode < ReasonCode.UnspecifiedError) return SnReturnCode.Accepted;
  return PASSING.has(reasonCode) ? SnReturnCode.Congestion : SnReturnCode.NotSupported;
}
