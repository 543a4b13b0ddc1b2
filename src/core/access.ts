import type { Connect } from "../codec/packet.ts";
import type { Client } from "./client.ts";
import type { Admission } from "./hooks.ts";

/**
 * Who is let in and what they may do, where no hook has an opinion. Implementations live in `auth`.
 * `authenticate` may be asynchronous; `check` must not be, because PUBLISH never waits.
 */
export interface Access {
  /** Never throws for bad credentials; a rejected promise refuses with Server unavailable. */
  authenticate(client: Client, connect: Connect): Admission | Promise<Admission>;
  /**
   * May the client publish to (`write`) or receive from (`!write`) the topic? For subscriptions `topic` is
   * the filter. Absent when every topic is allowed to everybody, which then costs nothing per message.
   */
  check?: ((client: Client, topic: string, write: boolean) => boolean) | undefined;
}
