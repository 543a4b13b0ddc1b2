import {
  type ConnackReasonCode,
  ConnectReturnCode,
  type DisconnectReasonCode,
  type PubackReasonCode,
  ReasonCode,
  type SubackReasonCode,
} from "../codec/reason.ts";

// Each packet carries only some Reason Codes: these find the nearest that one has, for the codes of hooks, of access
// rules and of other packets.

/** A hook may refuse with any code; CONNACK carries only some, 5.0 §3.2.2.2. */
export function connackCode(code: number): ConnackReasonCode {
  return CONNACK_CODES.has(code) ? (code as ConnackReasonCode) : ReasonCode.UnspecifiedError;
}

const CONNACK_CODES = new Set<number>([
  0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c,
  0x9d, 0x9f,
]);

/** 3.1 and 3.1.1 §3.2.2.3; undefined where no return code says the same. */
export function returnCode(code: ConnackReasonCode): ConnectReturnCode | undefined {
  switch (code) {
    case ReasonCode.UnsupportedProtocolVersion:
      return ConnectReturnCode.UnacceptableProtocolVersion;
    case ReasonCode.ClientIdentifierNotValid:
      return ConnectReturnCode.IdentifierRejected;
    case ReasonCode.BadUserNameOrPassword:
      return ConnectReturnCode.BadUserNameOrPassword;
    case ReasonCode.NotAuthorized:
    case ReasonCode.Banned:
    case ReasonCode.BadAuthenticationMethod:
      return ConnectReturnCode.NotAuthorized;
    case ReasonCode.ServerUnavailable:
    case ReasonCode.ServerBusy:
    case ReasonCode.QuotaExceeded:
    case ReasonCode.ConnectionRateExceeded:
    case ReasonCode.UseAnotherServer:
    case ReasonCode.ServerMoved:
    case ReasonCode.UnspecifiedError:
    case ReasonCode.ImplementationSpecificError:
      return ConnectReturnCode.ServerUnavailable;
    default:
      return undefined;
  }
}

/** Codes that CONNACK has and DISCONNECT lacks become the nearest that it has, 5.0 §3.14.2.1. */
export function disconnectCode(code: number): DisconnectReasonCode {
  switch (code) {
    case ReasonCode.UnsupportedProtocolVersion:
    case ReasonCode.ClientIdentifierNotValid:
      return ReasonCode.ProtocolError;
    case ReasonCode.BadUserNameOrPassword:
    case ReasonCode.Banned:
      return ReasonCode.NotAuthorized;
    case ReasonCode.ServerUnavailable:
      return ReasonCode.ServerBusy;
    case ReasonCode.PacketIdentifierInUse:
    case ReasonCode.PacketIdentifierNotFound:
      return ReasonCode.ProtocolError;
    default:
      return code >= 0x80 ? (code as DisconnectReasonCode) : ReasonCode.UnspecifiedError;
  }
}

/** A hook may refuse with any code; PUBACK and PUBREC carry only some, 5.0 §3.4.2.1. */
export function pubackCode(code: number): PubackReasonCode {
  switch (code) {
    case ReasonCode.UnspecifiedError:
    case ReasonCode.ImplementationSpecificError:
    case ReasonCode.NotAuthorized:
    case ReasonCode.TopicNameInvalid:
    case ReasonCode.PacketIdentifierInUse:
    case ReasonCode.QuotaExceeded:
    case ReasonCode.PayloadFormatInvalid:
      return code;
    default:
      return ReasonCode.ImplementationSpecificError;
  }
}

/** A hook may refuse with any code; SUBACK carries only some, 5.0 §3.9.3. */
export function subackCode(code: number): SubackReasonCode {
  switch (code) {
    case ReasonCode.UnspecifiedError:
    case ReasonCode.ImplementationSpecificError:
    case ReasonCode.NotAuthorized:
    case ReasonCode.TopicFilterInvalid:
    case ReasonCode.PacketIdentifierInUse:
    case ReasonCode.QuotaExceeded:
    case ReasonCode.SharedSubscriptionsNotSupported:
    case ReasonCode.SubscriptionIdentifiersNotSupported:
    case ReasonCode.WildcardSubscriptionsNotSupported:
      return code;
    default:
      return ReasonCode.UnspecifiedError;
  }
}
