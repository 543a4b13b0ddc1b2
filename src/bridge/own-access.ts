import type { Connect } from "../codec/packet.ts";
import type { Access, Identity, Verdict } from "../core/access.ts";
import type { Client } from "../core/client.ts";
import type { Admission, Refusal } from "../core/hooks.ts";
import type { Peer } from "../core/ports.ts";

/** The access rules, but for a client of the broker's own, which may do everything. */
export class OwnAccess implements Access {
  readonly onChange: Access["onChange"];
  readonly check: Access["check"];
  private readonly access: Access;
  private readonly isOwn: (client: Client) => boolean;

  constructor(access: Access, isOwn: (client: Client) => boolean) {
    this.access = access;
    this.isOwn = isOwn;
    this.onChange = access.onChange && ((changed) => access.onChange!(changed));
    this.check =
      access.check && ((client, topic, write): Verdict => this.isOwn(client) || access.check!(client, topic, write));
  }

  get explainsToClients(): boolean {
    return this.access.explainsToClients === true;
  }

  get endsLostSubscriptions(): boolean {
    return this.access.endsLostSubscriptions === true;
  }

  authenticate(client: Client, connect: Connect): Admission | Promise<Admission> {
    return this.access.authenticate(client, connect);
  }

  why(client: Client, topic: string, write: boolean): string {
    return this.access.why?.(client, topic, write) ?? "";
  }

  admits(peer: Peer): Refusal | undefined {
    return this.access.admits?.(peer);
  }

  banned(): number {
    return this.access.banned?.() ?? 0;
  }

  review(client: Client): Identity | Refusal | undefined {
    return this.isOwn(client) ? undefined : this.access.review?.(client);
  }
}
