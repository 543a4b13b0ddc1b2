// Preloaded into the broker (`--expose-gc --import`): SIGUSR2 forces a full collection, gives free pages back to the
// system, which V8 keeps for reuse otherwise, and writes what is left to standard error.
import { writeSync } from "node:fs";

const { gc } = globalThis as { gc?: (options: { type: "major"; execution: "sync"; flavor: "last-resort" }) => void };

process.on("SIGUSR2", () => {
  gc?.({ type: "major", execution: "sync", flavor: "last-resort" });
  const { rss, heapUsed, external } = process.memoryUsage();
  writeSync(2, `${JSON.stringify({ residentBytes: rss, heldBytes: heapUsed + external })}\n`);
});
