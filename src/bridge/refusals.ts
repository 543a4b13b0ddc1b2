import type { Connack, Disconnect } from "../codec/packet.ts";
import { ConnectReturnCode, ReasonCode, reasonText } from "../codec/reason.ts";

/** Where a CONNACK says no: the reason, and what to do about it. */
export function refusalText({ reasonCode, properties }: Connack, userName: string | undefined): string {
  const who = userName === undefined ? "clients without a user name" : `the user ${userName}`;
  const said = properties.reasonString === undefined ? "" : ` (${properties.reasonString})`;
  const { BadUserNameOrPassword, NotAuthorized, ClientIdentifierNotValid, UnsupportedProtocolVersion } = ReasonCode;
  switch (reasonCode) {
    case BadUserNameOrPassword:
    case ConnectReturnCode.BadUserNameOrPassword:
      return `it refuses the user name or the password${said}: correct --mqtt-sn-upstream-username or the file of --mqtt-sn-upstream-password-file`;
    case NotAuthorized:
    case ConnectReturnCode.NotAuthorized:
      return `it does not let in ${who}${said}: is the password right (--mqtt-sn-upstream-password-file), and may this user connect there (--mqtt-sn-upstream-username)?`;
    case UnsupportedProtocolVersion:
    case ConnectReturnCode.UnacceptableProtocolVersion:
      return `it does not speak this version of MQTT${said}: give the other one (--mqtt-sn-upstream-version)`;
    case ClientIdentifierNotValid:
    case ConnectReturnCode.IdentifierRejected:
      return `it refuses the client identifier${said}: give another one (--mqtt-sn-upstream-client-id)`;
    default:
      return `it refuses the connection: ${reasonText(reasonCode)}${said}`;
  }
}

/** Where a DISCONNECT says why the connection has ended. */
export function disconnectText({ reasonCode, properties }: Disconnect): string {
  const said = properties.reasonString === undefined ? "" : ` (${properties.reasonString})`;
  const hint =
    reasonCode === ReasonCode.SessionTakenOver
      ? ": somebody else comes under our client identifier, so give another one (--mqtt-sn-upstream-client-id)"
      : "";
  return `it has ended the connection: ${reasonText(reasonCode)}${said}${hint}`;
}

/** An error of the network or of TLS, with what to do where that is known. */
export function connectionText(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case "ECONNREFUSED":
      return "nothing listens there: is it running, and is the port right?";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "its name is not known: is it right, and does this machine reach its name server?";
    case "ETIMEDOUT":
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "it cannot be reached over the network";
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
      return `its certificate is of no authority that is trusted here (${message}): name that one (--mqtt-sn-upstream-ca)`;
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return `its certificate is for other names (${message}): use one of them in --mqtt-sn-upstream`;
    default:
      return message;
  }
}
