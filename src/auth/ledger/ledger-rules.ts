/** What a ledger grants at a filter: 0 nothing, 1 read (subscribe), 2 write (publish), 3 both. */
export type LedgerPermission = 0 | 1 | 2 | 3;

/** By Topic Filter, in the order in which they count. */
export type LedgerFilters = Readonly<Record<string, LedgerPermission>>;

export interface LedgerUser {
  /** Must match exactly; without one the user gets in by an `auth` rule only. */
  password?: string;
  /** Refuses the user, whatever the password. */
  disallow?: boolean;
  /** The first filter that matches decides; what none matches is decided by the ledger's `acl`. */
  acl?: LedgerFilters;
}

/**
 * Texts match when they are equal. Left out, empty or `*` they match everything, and `abc*` matches what begins with
 * `abc` and goes on.
 */
export interface LedgerAuthRule {
  /** The Client Identifier. */
  client?: string;
  username?: string;
  password?: string;
  /** Address and port, as `192.168.1.7:50312` or `[fe80::1]:50312`; so a whole host is `192.168.1.7:*`. */
  remote?: string;
  allow?: boolean;
}

export interface LedgerAclRule {
  client?: string;
  username?: string;
  remote?: string;
  /** Of those that match, one that grants wins. No filters: the rule allows everything. */
  filters?: LedgerFilters;
}

/** The auth ledger of mochi's MQTT server. */
export interface LedgerRules {
  /** By user name. */
  users?: Readonly<Record<string, LedgerUser>>;
  auth?: readonly LedgerAuthRule[];
  acl?: readonly LedgerAclRule[];
}
