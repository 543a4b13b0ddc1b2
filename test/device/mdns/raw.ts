/**
 * mDNS by hand, for a process on another machine of the test: `node raw.ts ear|ask|rubbish ADDRESS`, whose address is that
 * of the machine it runs on. All of it is about the service "Edge" at 192.0.2.1.
 */
import { createSocket, type Socket } from "node:dgram";

const GROUP = "224.0.0.251";
const PORT = 5353;
const [what, own = ""] = process.argv.slice(2);
const TYPE = Buffer.from("\x05_mqtt\x04_tcp\x05local\0", "latin1");
const EDGE = Buffer.concat([Buffer.from("\x04Edge", "latin1"), TYPE]);
const HOST = Buffer.from([192, 0, 2, 1]);

if (what === "ear") ear();
else if (what === "ask") ask();
else if (what === "rubbish") rubbish();
else throw new Error(`Nothing is called ${what}`);

/** A line for each packet that names Edge: its kind, and when it came. */
function ear(): void {
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  socket.on("message", (packet, { address }) => {
    if (address !== HOST.join(".") || !packet.includes(EDGE.subarray(0, 5))) return;
    const isQuery = packet.readUInt16BE(2) < 0x8000;
    // Behind the first name: type, class and seconds of its record.
    const seconds = isQuery ? undefined : packet.readUInt32BE(packet.indexOf("\x05local\0", 12, "latin1") + 11);
    const hasAuthority = packet.readUInt16BE(8) > 0;
    const kind = isQuery ? (hasAuthority ? "probe" : "query") : seconds === 0 ? "goodbye" : "response";
    console.log(JSON.stringify({ message: kind, ms: performance.now() }));
  });
  socket.bind(PORT, GROUP, () => {
    socket.addMembership(GROUP, own);
    console.log(JSON.stringify({ message: "listening" }));
  });
}

/** Asks for PTR of the type as a resolver does that knows nothing of mDNS, and prints what comes within 2 s. */
function ask(): void {
  const socket = createSocket("udp4");
  const head = Buffer.from("beef00000001000000000000", "hex");
  socket.on("message", (packet) => {
    const at = head.length + TYPE.length + 4 + TYPE.length + 4;
    const answer = {
      id: packet.readUInt16BE(0),
      flags: packet.readUInt16BE(2),
      questions: packet.readUInt16BE(4),
      answers: packet.readUInt16BE(6),
      additionals: packet.readUInt16BE(10),
      seconds: packet.readUInt32BE(at),
      hasAddress: packet.includes(HOST),
    };
    console.log(JSON.stringify(answer));
    socket.close();
  });
  fromOwn(socket, 0, () => {
    socket.send(Buffer.concat([head, TYPE, Buffer.from("000c0001", "hex")]), PORT, GROUP);
    setTimeout(() => socket.close(), 2_000).unref();
  });
}

/** As many bytes as it takes, the same each time. */
function noise(seed: number): Buffer {
  let state = seed;
  return Buffer.from(
    Array.from({ length: seed % 90 }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state >>> 24;
    }),
  );
}

/** A thousand packets of noise behind the head of a query or a response, most with the name of Edge in them. */
function rubbish(): void {
  const types = [1, 12, 16, 28, 33, 41, 47, 255];
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  fromOwn(socket, PORT, async () => {
    for (let index = 0; index < 1_000; index++) {
      const head = Buffer.from(index % 2 ? "000084000000000200000001" : "000000000002000000010000", "hex");
      const record = Buffer.from([0, types[index % 8]!, 0, 1, 0, 0, 0, 9, 0, index % 7]);
      const body = index % 3 === 0 ? [] : [EDGE, record];
      const packet = Buffer.concat([head, ...body, noise(index)]);
      await new Promise((sent) => socket.send(packet, PORT, GROUP, sent));
    }
    socket.close();
  });
}

/** There is no route for multicast: it has to be said where it leaves. */
function fromOwn(socket: Socket, port: number, then: () => void | Promise<void>): void {
  socket.bind({ port }, () => {
    socket.setMulticastInterface(own);
    void then();
  });
}
