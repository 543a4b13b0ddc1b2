import assert from "node:assert/strict";
import { createServer, type Server } from "node:net";
import { it } from "node:test";
import { shareReads } from "../../src/transport/shared-read.ts";

it("shareReads() changes nothing, and says so, where the runtime has no such handles", () => {
  assert.equal(
    shareReads(createServer(), () => undefined),
    false,
  );
  const other = { _handle: { onconnection: "something else" } };
  assert.equal(
    shareReads(other as unknown as Server, () => undefined),
    false,
  );
  assert.deepEqual(other, { _handle: { onconnection: "something else" } });
});

it("shareReads() works on this runtime", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  assert.equal(
    shareReads(server, () => undefined),
    true,
  );
  server.close();
});
