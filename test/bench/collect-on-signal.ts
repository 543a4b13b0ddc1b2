// Preloaded into a measured Node.js process (`--expose-gc --import`): SIGUSR2 forces a full collection, so that its
// resident memory is what it needs and not what it has not thrown away yet.
import { isMainThread } from "node:worker_threads";

const collect = (globalThis as { gc?: () => void }).gc;
if (isMainThread && collect !== undefined) process.on("SIGUSR2", () => collect());
