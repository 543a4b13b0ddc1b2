import assert from "node:assert/strict";
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { connect } from "../support/raw-client.ts";
import { emptyFolder, startBroker } from "./program.ts";

test("listeners come and go with the configuration, and the clients of the others notice nothing", async (context) => {
  const folder = emptyFolder(context);
  const file = join(folder, "mqtt-broker.json5");
  const write = (...listeners: string[]): void => {
    const beside = join(folder, "new");
    writeFileSync(beside, `{ listeners: [${listeners.join(", ")}] }`);
    renameSync(beside, file);
  };
  const main = '{ name: "main", type: "tcp", port: 0 }';
  const second = (type: string): string => `{ name: "second", type: "${type}", path: "second.sock" }`;
  write(main);
  const { program, port } = await startBroker(context, [], { cwd: folder });
  const client = await connect(port, { clientId: "stays" });
  context.after(() => client.socket.destroy());

  write(main, '{ name: "second", type: "tcp", port: 0 }');
  const { message } = await program.line(/^Listening on tcp/, ({ listener }) => listener === "second");
  const other = await connect(Number(new URL(String(message).slice("Listening on ".length)).port));
  context.after(() => other.socket.destroy());

  write(main, second("unix"));
  await program.line(/^Listening no more on tcp/, ({ listener }) => listener === "second");
  await program.line(/^Listening on unix/, ({ listener }) => listener === "second");

  write(main, '{ name: "second", type: "tcp", port: 0, host: "192.0.2.99" }');
  const refused = await program.line(/^Cannot listen on tcp:\/\/192\.0\.2\.99/);
  assert.match(refused.message, /: it listens as before$/);

  write(main);
  await program.line(/^Listening no more on unix/, ({ listener }) => listener === "second");
  // Neither who stayed nor who came by a way that is closed has been cut off.
  await client.settle();
  await other.settle();
});
