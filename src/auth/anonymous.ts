import type { Access } from "../core/access.ts";
import type { Client } from "../core/client.ts";
import type { Refusal } from "../core/hooks.ts";
import { refuse } from "../core/hooks.ts";

/** Lets everybody in, to everything. */
export function allowAll(): Access {
  return { authenticate: () => true };
}

/** Lets nobody in. */
export function denyAll(): Access {
  return { authenticate: () => false, check: () => false };
}

const HOW_TO_OPEN = "not authorized: only clients on this machine connect without being listed; see --allow-anonymous";

/**
 * The rule of a broker without configuration: who is on this machine may connect, without credentials, and do everything; nobody else
 * gets in. Credentials are refused as well, since there is nothing to check them against.
 */
export function allowLocal(): Access {
  return { authenticate: (client: Client): true | Refusal => client.peer.local || refuse(0x87, HOW_TO_OPEN) };
}
