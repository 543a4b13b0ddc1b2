import type { Client } from "../../core/client.ts";
import type { TrafficRefusal } from "./traffic.ts";
import { placeOf } from "./traffic-subject.ts";

const REASON_CHARACTERS_MAX = 1024;

/** Who was not let in: the last ones, since anybody can knock. */
export class TrafficRefusals {
  private readonly countMax: number;
  private readonly byKey = new Map<string, TrafficRefusal>();

  constructor(countMax: number) {
    this.countMax = countMax;
  }

  get all(): Iterable<TrafficRefusal> {
    return this.byKey.values();
  }

  /** `nowSeconds`: of the wall clock. */
  add(client: Client, reason: string, nowSeconds: number): void {
    const { userName, clientId } = client;
    const known = this.byKey.get(keyOf({ userName, clientId, address: client.peer.address }));
    this.put({
      type: "refused",
      userName,
      clientId,
      ...placeOf(client),
      reason: reason.slice(0, REASON_CHARACTERS_MAX),
      count: (known?.count ?? 0) + 1,
      firstSeconds: known?.firstSeconds ?? nowSeconds,
      lastSeconds: nowSeconds,
    });
  }

  put(refusal: TrafficRefusal): void {
    const key = keyOf(refusal);
    // The newest stand last, so that the first one is the one to forget.
    this.byKey.delete(key);
    if (this.byKey.size >= this.countMax) this.byKey.delete(this.byKey.keys().next().value!);
    this.byKey.set(key, refusal);
  }
}

function keyOf({ userName, clientId, address }: Pick<TrafficRefusal, "userName" | "clientId" | "address">): string {
  // Without the port, which is another one each time.
  const host = address.startsWith("/") ? address : address.replace(/:\d+$/, "");
  return [userName ?? "", clientId, host].join("\u0000");
}
