import type { Connection } from "./connection.ts";
import { watchStall } from "./connection-deadlines.ts";
import { ConnectionState } from "./connection-state.ts";

// When a connection is read from and when it is not: while it waits for an answer (`waits`), is above a rate (`held`),
// lets our answers pile up or publishes faster than the store can write (`readingPaused`). It is read from again when
// none of these holds.

/** Output beyond the budget for messages can only be answers: then we stop reading until the peer takes them. */
const ANSWER_BYTES_MAX = 64 * 1024;

/** Waits for a hook, an access decision or the disk on behalf of one connection, which handles nothing meanwhile. */
export function waitFor<T>(
  connection: Connection,
  promise: Promise<T>,
  then: (value: T) => void,
  failed: () => void,
): void {
  const { broker } = connection;
  connection.waits = true;
  connection.splitter.pause();
  connection.link.pauseReading();
  const goOn = (next: () => void): void => {
    broker.turn();
    whenAnswered(connection, next);
    broker.reschedule();
  };
  promise.then(
    (value) => goOn(() => then(value)),
    (error: unknown) => {
      if (!broker.stopping) {
        broker.log.error("No answer for a connection that waits", {
          ...connection.client.logFields(),
          reason: error instanceof Error ? (error.stack ?? error.message) : String(error),
        });
      }
      goOn(failed);
    },
  );
}

/** What the connection waited for is known; it reads on afterwards. Nothing happens when it closed meanwhile. */
function whenAnswered(connection: Connection, next: () => void): void {
  if (connection.state === ConnectionState.Closed) return;
  connection.waits = false;
  // It was kept from being heard meanwhile, so its silence does not count.
  connection.lastReceivedMs = connection.broker.nowMs;
  try {
    next();
    if (!connection.readingPaused) connection.link.resumeReading();
    connection.splitter.resume();
  } catch (error) {
    connection.fail(error);
  }
}

/** Handles nothing more of what the client sends until `readOn`: it is above a rate, and cannot be told. */
export function holdReading(connection: Connection): void {
  connection.held = true;
  connection.splitter.pause();
  connection.link.pauseReading();
}

/** The rate allows more. Nothing happens when it was not held. */
export function readOn(connection: Connection): void {
  if (!connection.held || connection.state === ConnectionState.Closed) return;
  connection.held = false;
  connection.lastReceivedMs = connection.broker.nowMs;
  try {
    connection.splitter.resume();
  } catch (error) {
    connection.fail(error);
  }
  limitReading(connection);
  if (!connection.held && !connection.readingPaused) connection.link.resumeReading();
}

/** After something was read: is that enough for now? */
export function limitReading(connection: Connection): void {
  limitAnswers(connection);
  limitJournal(connection);
}

/** Stops reading from a peer that lets our answers pile up. */
function limitAnswers(connection: Connection): void {
  const { link } = connection;
  if (connection.readingPaused || !link.blocked || connection.state === ConnectionState.Closed) return;
  if (link.pendingBytes < connection.broker.limits.linkPendingBytes + ANSWER_BYTES_MAX) return;
  connection.readingPaused = true;
  link.pauseReading();
  watchStall(connection);
}

/** Stops reading from those who publish while the store cannot keep up. */
function limitJournal(connection: Connection): void {
  const { broker, link } = connection;
  const { archive } = broker;
  if (archive === undefined || connection.readingPaused || connection.waits) return;
  if (connection.state !== ConnectionState.Connected) return;
  const { journal } = archive;
  if (!journal.congested || !journal.writable) return;
  connection.readingPaused = true;
  link.pauseReading();
  journal.awaitRoom(() => {
    if (!connection.readingPaused || link.blocked) return;
    connection.readingPaused = false;
    connection.lastReceivedMs = broker.nowMs;
    if (!connection.waits && !connection.held && connection.state !== ConnectionState.Closed) link.resumeReading();
  });
}

/** The peer has taken all that was waiting for it. */
export function readAfterDrain(connection: Connection): void {
  if (!connection.readingPaused) return;
  connection.readingPaused = false;
  connection.lastReceivedMs = connection.broker.nowMs;
  if (!connection.waits && !connection.held) connection.link.resumeReading();
}
