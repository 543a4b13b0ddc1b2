// On another host of the broker's network: searches for a gateway in the group until it has been answered there and to
// itself, and has heard ADVERTISE. Prints what came by which way, and from whom, as a line of JSON.
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

const GROUP = "225.1.1.1";
const PORT = 1884;
const SEARCHGW = Uint8Array.of(3, 0x01, 1);
const DEADLINE_MS = 6_000;

const asker = await open(0);
const member = await open(PORT);
member.socket.addMembership(GROUP);

while (performance.now() < DEADLINE_MS && !(asker.heard.size >= 1 && member.heard.size >= 3)) {
  asker.socket.send(SEARCHGW, PORT, GROUP);
  await sleep(50);
}
const [toAsker, toGroup] = [asker, member].map(({ heard }) => [...heard].sort());
process.stdout.write(JSON.stringify({ toAsker, toGroup }));
process.exit();

async function open(port: number): Promise<{ socket: Socket; heard: Set<string> }> {
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  const heard = new Set<string>();
  socket.on("message", (message, { address }) => heard.add(`${address} ${message.toString("hex")}`));
  socket.bind(port);
  await once(socket, "listening");
  return { socket, heard };
}
