import type { Will } from "../codec/packet.ts";
import type { ReasonCode } from "../codec/reason.ts";
import type { Connection } from "./connection.ts";
import { ConnectionState } from "./connection-state.ts";
import { Refusal } from "./hooks.ts";
import { mountWill, objectionToWill } from "./will-rules.ts";

// Clients of gateways: their connection is the gateway's, and they are behind it or asleep.

/** What is meant for the client is kept; its will is for later, also after a restart. */
export function sleep(connection: Connection, willDelaySeconds: number): void {
  if (connection.state !== ConnectionState.Connected) return;
  connection.broker.turn();
  connection.asleep = true;
  connection.awake = false;
  delayWill(connection, willDelaySeconds);
}

/** The client is sent what was kept; what comes meanwhile waits behind it. */
export function wake(connection: Connection): void {
  if (connection.state !== ConnectionState.Connected || !connection.asleep) return;
  const { broker } = connection;
  broker.turn();
  connection.awake = true;
  connection.session.delivery.pump();
  broker.reschedule();
}

/** Returns why the client cannot have the will, as CONNACK would say. */
export function changeWill(connection: Connection, will: Will | undefined): ReasonCode | undefined {
  if (connection.state !== ConnectionState.Connected) return undefined;
  const { broker } = connection;
  broker.turn();
  if (will === undefined) {
    if (connection.will === undefined) return undefined;
    connection.will = undefined;
  } else {
    const objection = objectionToWill(connection, will);
    if (objection !== undefined) return objection.code;
    const mounted = mountWill(connection, will);
    if (mounted instanceof Refusal) return mounted.reasonCode;
    connection.will = mounted;
  }
  record(connection);
  return undefined;
}

function delayWill(connection: Connection, seconds: number): void {
  const { will } = connection;
  if (will === undefined || (will.properties.willDelayInterval ?? 0) === seconds) return;
  connection.will = { ...will, properties: { ...will.properties, willDelayInterval: seconds } };
  record(connection);
}

/** Of a session without a number nothing is on disk; one that only has a will gets one with its next connection. */
function record({ broker, session }: Connection): void {
  if (session.number !== 0) broker.archive?.willGiven(session);
  broker.reschedule();
}
