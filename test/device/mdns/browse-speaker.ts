/**
 * A machine that says on its network what it is told to, true or not: `node browse-speaker.ts ADDRESS [PORT]`. Each line of
 * standard input is a packet in hexadecimal digits, for all. "asked NAME…" on standard output is a query that it heard.
 */
import { createSocket } from "node:dgram";
import { createInterface } from "node:readline";

const [address = "", port = "5353"] = process.argv.slice(2);
const GROUP = "224.0.0.251";

const socket = createSocket({ type: "udp4", reuseAddr: true });
socket.bind(Number(port), "0.0.0.0", () => {
  socket.setMulticastInterface(address);
  socket.addMembership(GROUP, address);
  console.log("ready");
});
socket.on("message", (bytes) => {
  const isQuery = (bytes[2]! & 0x80) === 0;
  if (isQuery) console.log(`asked ${bytes.toString("latin1").replace(/[^\w-]+/g, " ")}`);
});
for await (const line of createInterface(process.stdin)) socket.send(Buffer.from(line, "hex"), 5353, GROUP);
