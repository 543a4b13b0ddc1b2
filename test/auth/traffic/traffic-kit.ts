import type { Book } from "../../../src/auth/book.ts";
import { Login } from "../../../src/auth/login.ts";
import type { ReadUser } from "../../../src/auth/reading/read-auth.ts";
import { readTraffic, type Traffic } from "../../../src/auth/traffic/traffic.ts";
import type { TrafficRecord } from "../../../src/auth/traffic/traffic-record.ts";
import { Client } from "../../../src/core/client.ts";
import type { Peer } from "../../../src/core/ports.ts";

/** Nothing here asks it. */
const NO_BOOK = {} as Book;

export function peerAt(address: string, more: Partial<Peer> = {}): Peer {
  return { address, local: address.startsWith("127."), listener: "tcp", transport: "tcp", ...more };
}

/** A client that is logged in as `name`; as an anonymous one when `userName` is null. */
export function clientOf(
  name: string,
  clientId: string,
  {
    userName = name,
    peer = peerAt("192.168.1.7:50000"),
    method = "sha256",
    groups = [] as string[],
  }: {
    userName?: string | null;
    peer?: Peer;
    method?: string;
    groups?: string[];
  } = {},
): { login: Login; client: Client } {
  const user = { name, method } as ReadUser;
  const login = new Login({ name, userName: userName ?? undefined, user, groups, tokenGroups: groups, book: NO_BOOK });
  const client = new Client(clientId, userName ?? undefined, 5, true, 60, peer);
  client.identity = login;
  return { login, client };
}

/** What the record holds, as its file and the control socket give it. */
export function trafficOf(record: TrafficRecord): Traffic {
  return readTraffic(JSON.parse(JSON.stringify([...record.lines()])) as unknown[]);
}

/** Small and seeded: the same numbers each time. */
export function seeded(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}
