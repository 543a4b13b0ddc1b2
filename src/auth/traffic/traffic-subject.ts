import type { Verdict } from "../../core/access.ts";
import type { Client } from "../../core/client.ts";
import { filterMatches } from "../../topic/name.ts";
import type { Login } from "../login.ts";
import { ANY_CLIENT, CLIENT_ID_MARK, type Seen, type TrafficClient, type TrafficUse } from "./traffic.ts";
import { widen, withMark } from "./traffic-fold.ts";

/** What was decided about. */
export type Asked = Pick<TrafficUse, "operation" | "topic" | "allowed">;

/** What the record keeps of one client, or of all clients of one user that were folded into one. */
export class TrafficSubject {
  readonly client: TrafficClient;
  /** The record that has it; undefined when it has let go of it. */
  owner: unknown = undefined;
  private readonly byKey = new Map<string, TrafficUse>();
  private patterns: TrafficUse[] = [];

  constructor(client: TrafficClient) {
    this.client = client;
  }

  get uses(): Iterable<TrafficUse> {
    return this.byKey.values();
  }

  get size(): number {
    return this.byKey.size;
  }

  /** The use that `asked` of this client is counted with: itself, or a pattern that it fits into. */
  find(clientId: string, asked: Asked): TrafficUse | undefined {
    if (this.client.clientId !== ANY_CLIENT) return this.byKey.get(useKey(asked)) ?? this.patternOf(asked);
    const marked = { ...asked, topic: withMark(asked.topic, clientId, CLIENT_ID_MARK) ?? asked.topic };
    return this.byKey.get(useKey(marked)) ?? this.patternOf(marked);
  }

  put(use: TrafficUse): void {
    this.byKey.set(useKey(use), use);
    if (use.folded) this.patterns.push(use);
  }

  remove(use: TrafficUse): void {
    this.byKey.delete(useKey(use));
    if (use.folded) this.patterns = this.patterns.filter((pattern) => pattern !== use);
  }

  clear(): void {
    this.byKey.clear();
    this.patterns = [];
  }

  private patternOf(asked: Asked): TrafficUse | undefined {
    return this.patterns.find(
      ({ operation, allowed, topic }) =>
        operation === asked.operation && allowed === asked.allowed && filterMatches(topic, asked.topic),
    );
  }
}

/** What is known of a client when it is let in, or met first. */
export function clientOf(login: Login, client: Client, seen: Seen): TrafficClient {
  const { name, userName } = login;
  return { type: "client", name, userName, clientId: client.clientId, ...statusOf(login, client), ...seen };
}

/** Which of it may be another each time. */
export function statusOf(
  login: Login,
  client: Client,
): Pick<TrafficClient, "method" | "groups" | "address" | "local" | "listener" | "transport"> {
  return { method: login.user?.method ?? "", groups: login.tokenGroups, ...placeOf(client) };
}

export function placeOf({ peer }: Client): Pick<TrafficClient, "address" | "local" | "listener" | "transport"> {
  const { address, local, listener, transport } = peer;
  return { address, local, listener, transport };
}

const NO_BOUNDS = {};

/** Sets the bounds that rules set now; of a pattern the widest, since it stands for many. */
export function setBounds(use: TrafficUse, verdict: Verdict): void {
  const bounds: Pick<TrafficUse, "maximumQos" | "retain"> =
    typeof verdict === "boolean"
      ? NO_BOUNDS
      : { maximumQos: verdict.maximumQos, ...(verdict.retain ? {} : { retain: false }) };
  if (use.folded) {
    widen(use, bounds);
    return;
  }
  // Taking a key away makes an object slow, and mostly there is none to take.
  if (use.maximumQos === bounds.maximumQos && use.retain === bounds.retain) return;
  delete use.maximumQos;
  delete use.retain;
  Object.assign(use, bounds);
}

function useKey({ operation, allowed, topic }: Asked): string {
  return `${operation[0]}${allowed ? "+" : "-"}${topic}`;
}
