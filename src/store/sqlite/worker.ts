import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { FolderInUse, messageOf, Refusal } from "./failure.ts";
import { CLOSE, type Reply, type Request, Shared, type WorkerStart } from "./messages.ts";
import { salvage } from "./salvage.ts";
import { StoreService } from "./service.ts";

/** Batches and pages after which memory is given back in the next pause: V8 alone would keep some 30 MB of them. */
const COLLECT_BYTES = 8 * 1024 * 1024;
/** A pause is one when nothing was asked for so long. */
const QUIET_MS = 500;

/**
 * The thread that writes, so that no fsync ever stops the broker. It sleeps in `Atomics.wait`, not in an event loop.
 * An error that is thrown here ends it, and the store's `onFailed` tells so.
 */
const { folder, shared: buffer } = workerData as WorkerStart;
const port = parentPort!;
const shared = new Shared(buffer);
/** Since memory was given back; what starting took counts too. */
let handledBytes = COLLECT_BYTES;
const service = new StoreService(folder, shared, salvage, send);
// It may be started before the store is to be opened.
shared.wait(0, Number.POSITIVE_INFINITY);
if (open()) run();

function open(): boolean {
  try {
    service.open();
    send({ kind: "opened" });
    return true;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    send({ kind: "refused", reason: messageOf(error), inUse: error instanceof FolderInUse });
    return false;
  }
}

function run(): void {
  const collect = exposedCollect();
  while (!service.isClosed) {
    const seen = shared.seen();
    let received = receiveMessageOnPort(port);
    while (received !== undefined) {
      const request = received.message as Request | typeof CLOSE;
      if (request instanceof Uint8Array) handledBytes += request.length;
      if (request === CLOSE) service.end(performance.now());
      else service.accept(request, performance.now());
      received = receiveMessageOnPort(port);
    }
    const restMs = service.work(performance.now());
    if (restMs === Number.POSITIVE_INFINITY && handledBytes >= COLLECT_BYTES) {
      // What comes next would have to wait for the collector.
      shared.wait(seen, QUIET_MS);
      if (shared.seen() !== seen) continue;
      handledBytes = 0;
      collect({ type: "major", execution: "sync", flavor: "last-resort" });
    } else if (restMs > 0) shared.wait(seen, restMs);
  }
}

function send(reply: Reply, transfer?: ArrayBuffer[]): void {
  for (const { byteLength } of transfer ?? []) handledBytes += byteLength;
  port.postMessage(reply, transfer);
}

type Collect = (options: { type: "major"; execution: "sync"; flavor: "last-resort" }) => void;

/** The collector as a function, which is otherwise there only with --expose-gc on the command line. */
function exposedCollect(): Collect {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as Collect;
}
