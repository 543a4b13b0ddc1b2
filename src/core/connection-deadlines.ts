import { ReasonCode } from "../codec/reason.ts";
import type { Connection } from "./connection.ts";
import { ConnectionState } from "./connection-state.ts";

/** Whatever of its deadlines was due first: CONNECT, the end of its right to be here, its stall, its Keep Alive. */
export function checkDeadlines(connection: Connection, nowMs: number): void {
  const { broker, state } = connection;
  if (state === ConnectionState.Closed) {
    connection.link.destroy();
    return;
  }
  if (state !== ConnectionState.Connected) {
    broker.counters.connectionsRefused++;
    const opening = state === ConnectionState.Opening;
    connection.close(opening ? "the store did not answer in time" : "no complete CONNECT in time", undefined);
    connection.link.destroy();
    return;
  }
  if (nowMs >= connection.endsAtMs) {
    scheduleEnd(connection);
    if (nowMs >= connection.endsAtMs) {
      connection.disconnect(ReasonCode.NotAuthorized, "its right to be here has expired");
      return;
    }
  }
  if (isStalled(connection, nowMs)) {
    connection.close("takes no output", undefined);
    connection.link.destroy();
    return;
  }
  const { keepAliveMs, lastReceivedMs } = connection;
  const keepAliveOver = keepAliveMs > 0 && nowMs >= lastReceivedMs + keepAliveMs;
  // While we don't read because the peer doesn't, silence is not its fault: the stall above decides.
  if (keepAliveOver && !connection.readingPaused && !connection.held) {
    connection.disconnect(ReasonCode.KeepAliveTimeout, "no packet within one and a half times the Keep Alive");
    return;
  }
  scheduleDeadline(connection);
}

/** A message could not be sent at once: from now on the peer has linkStall to take something. */
export function watchStall(connection: Connection): void {
  const { broker, link } = connection;
  if (connection.stalledSinceMs !== 0 || !link.blocked) return;
  connection.stalledSinceMs = broker.nowMs;
  connection.stalledAtBytes = link.takenBytes;
  const dueMs = broker.nowMs + broker.limits.linkStallMs;
  if (connection.heapIndex === -1 || dueMs < connection.dueMs) broker.deadlines.set(connection, dueMs);
}

/** When its right to be here ends. By the wall clock, which may have been set since it was last asked. */
export function scheduleEnd(connection: Connection): void {
  const { expiresMs } = connection.client.identity ?? {};
  if (expiresMs === undefined) return;
  connection.endsAtMs = connection.broker.nowMs + expiresMs - connection.broker.world.clock.wallMs();
}

/** Of one that is connected: the earliest. */
export function scheduleDeadline(connection: Connection): void {
  const { deadlines, limits, nowMs } = connection.broker;
  const { keepAliveMs, lastReceivedMs, stalledSinceMs } = connection;
  let dueMs = Number.POSITIVE_INFINITY;
  if (keepAliveMs > 0) {
    // Not before a moment from now: with paused reading the deadline is in the past.
    dueMs = Math.max(lastReceivedMs + keepAliveMs, nowMs + 1000);
    if (lastReceivedMs + keepAliveMs > nowMs) dueMs = lastReceivedMs + keepAliveMs;
  }
  if (stalledSinceMs !== 0) dueMs = Math.min(dueMs, stalledSinceMs + limits.linkStallMs);
  dueMs = Math.min(dueMs, connection.endsAtMs);
  if (dueMs === Number.POSITIVE_INFINITY) deadlines.cancel(connection);
  else deadlines.set(connection, dueMs);
}

function isStalled(connection: Connection, nowMs: number): boolean {
  const { broker, link } = connection;
  if (connection.stalledSinceMs === 0) return false;
  if (!link.blocked) {
    connection.stalledSinceMs = 0;
    return false;
  }
  if (link.takenBytes !== connection.stalledAtBytes) {
    connection.stalledSinceMs = nowMs;
    connection.stalledAtBytes = link.takenBytes;
    return false;
  }
  return nowMs - connection.stalledSinceMs >= broker.limits.linkStallMs;
}
