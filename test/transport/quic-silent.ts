/**
 * Clients that connect, send the first byte of a CONNECT and nothing more, in a process of their own: each costs the
 * library a thread. Arguments: port, file of the authority, how many, in fifties. Says "ready" when they stand.
 */
import { readFileSync } from "node:fs";
import { connectQuic, QuicClient } from "./quic-rig.ts";

const [port, file, count] = process.argv.slice(2) as [string, string, string];
const ca = readFileSync(file, "utf8");
const AT_ONCE = 50;
for (let index = 0; index < Number(count); index += AT_ONCE) {
  const sessions = Array.from({ length: AT_ONCE }, () => connectQuic(Number(port), { ca }));
  for (const session of await Promise.all(sessions)) {
    const client = new QuicClient(session);
    client.on("error", () => {});
    client.write(Buffer.from([0x10]));
  }
}
process.send!("ready");
