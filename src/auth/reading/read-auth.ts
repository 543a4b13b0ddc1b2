import type { Qos } from "../../codec/constants.ts";
import type { UserLimits } from "../../core/access.ts";
import type { Method } from "../auth-rules.ts";
import type { ReadLedger } from "../ledger/ledger-document.ts";

// What is left of a file of rules when it has been read and everything in it was found right: plain data, so that it can
// come from another thread.

/** Where an entry stands, for messages: "auth.json5:12:5". For rules made by a program `file` is "" and line 0. */
export interface Place {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly column: number;
  /** The entry as it was written, on one line, shortened to 160 characters; secrets are left out. */
  readonly text: string;
}

/** Conditions, checked; lists are empty when nothing was asked. */
export interface ReadConditions {
  /** As in the file; `from.ts` matches them. */
  readonly from: readonly string[];
  /** Patterns with `*`. */
  readonly clientIds: readonly string[];
  /** Milliseconds since 1970 at which it ends; Infinity: never. */
  readonly expiresMs: number;
}

export interface ReadUser extends ReadConditions {
  readonly name: string;
  readonly method: Method;
  readonly secret: Secret | undefined;
  /** client_cert. */
  readonly verifyField: string;
  /** psk: the identity that must be proved; undefined: the user's name, and any one for "*". */
  readonly identity?: string | undefined;
  readonly jwt: ReadJwt | undefined;
  /** serial; "*" when none was given. */
  readonly port: string;
  /** mqtt_sn; "*" when none was given. */
  readonly nodeId: string;
  readonly admin: "none" | "read" | "all";
  readonly limits: UserLimits;
  readonly place: Place;
}

/** What a password is compared with. `hash` is checked to be one of its method's. */
export type Secret =
  | { readonly method: "sha256"; readonly salt: string; readonly digest: string }
  | { readonly method: "plain_password"; readonly password: string }
  | { readonly method: "scrypt" | "argon2id" | "mosquitto"; readonly hash: string };

export interface ReadJwt {
  /** The key's text (PEM or secret) or the key set's; read from its file already. */
  readonly key: { readonly kind: "secret" | "pem" | "jwks"; readonly text: string };
  readonly algorithms: readonly string[];
  readonly audience: readonly string[];
  readonly issuer: string | undefined;
  readonly userClaim: string;
  readonly groupsClaim: string | undefined;
}

export interface ReadGroup {
  /** With "@". */
  readonly name: string;
  readonly members: readonly string[];
  readonly place: Place;
}

/** One direction of a rule; the names are of users and groups. Undefined: the rule says nothing of this direction. */
export interface ReadSide {
  readonly allow: boolean;
  readonly names: readonly string[];
}

export interface ReadRule extends ReadConditions {
  /** Position in the file, from 1. */
  readonly number: number;
  readonly topicFilter: string;
  readonly sub: ReadSide | undefined;
  readonly pub: ReadSide | undefined;
  readonly maximumQos: Qos;
  readonly retain: boolean;
  readonly place: Place;
}

/** A file of rules. */
export interface ReadAuth {
  /** For messages; "" for rules made by a program. */
  readonly file: string;
  /** In the order of the file. Of users with the same name the last one counts, and the others are not here. */
  readonly users: readonly ReadUser[];
  readonly groups: readonly ReadGroup[];
  readonly rules: readonly ReadRule[];
  /** In place of users, groups and rules, which are empty then. */
  readonly ledger: ReadLedger | undefined;
  readonly explainToClients: boolean;
  readonly whenRevoked: "disconnect" | "filter";
}
