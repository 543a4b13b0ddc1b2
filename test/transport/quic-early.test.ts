import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { loadQuicLibrary } from "../../src/transport/quic-library.ts";
import { CertificateFolder } from "../support/certificates.ts";
import { QuicDoor } from "./quic-rig.ts";
import { Heard, turns, until } from "./rig.ts";
import { settingsOf } from "./tls-rig.ts";

const LOOPBACK = "127.0.0.1";

/** What a client of the library has before its handshake is done. */
interface EarlySession {
  _eventLoop: { openStream(): number; streamSend(stream: number, bytes: Buffer, fin: boolean): number } | null;
  ready(): Promise<void>;
  close(): Promise<void>;
  on(event: "sessionTicket", listener: (ticket: Buffer) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
}

const folder = new CertificateFolder();
before(() => {
  folder.authority("ca");
  folder.issue("server", "ca", "localhost", "DNS:localhost,IP:127.0.0.1");
});
after(() => folder.remove());

// RFC 9001, section 4.6: early data can be sent again by whoever has heard it, so a server may refuse it.
test("QUIC: what a client sends before the end of the handshake is not taken, whatever its ticket says", async (context) => {
  const door = new QuicDoor(settingsOf(folder));
  const heards: Heard[] = [];
  await door.listener.listen(() => {
    const heard = new Heard();
    heards.push(heard);
    return heard;
  });
  const relay = await openRelay(door.port);
  const { connectQuic } = (await loadQuicLibrary()) as unknown as {
    connectQuic(authority: string, options: object): EarlySession;
  };
  const sessions: EarlySession[] = [];
  context.after(async () => {
    for (const session of sessions) await session.close();
    await door.listener.close();
  });
  const connect = (more: object): EarlySession => {
    const common = { servername: "localhost", alpn: ["mqtt"], runtimeMode: "portable", ca: folder.text("ca.crt") };
    const session = connectQuic(`${LOOPBACK}:${relay.port}`, { ...common, ...more });
    session.on("error", () => {});
    sessions.push(session);
    return session;
  };

  const tickets: Buffer[] = [];
  const first = connect({});
  first.on("sessionTicket", (ticket) => tickets.push(ticket));
  await first.ready();
  await until("a ticket", () => tickets.length > 0);
  assert.equal(earlyDataOf(tickets[0]!), undefined, "the server's tickets offer no early data");
  await first.close();

  relay.holdsHandshake = true;
  relay.seen.length = 0;
  const second = connect({ sessionTicket: withEarlyData(tickets[0]!), allow0RTT: true });
  await until("the second connection is begun", () => second._eventLoop !== null);
  second._eventLoop!.streamSend(second._eventLoop!.openStream(), Buffer.from("early"), false);
  await until("the client sends early data", () => relay.seen.includes(PacketKind.EARLY));
  await until("the end of the handshake", () => relay.seen.includes(PacketKind.HANDSHAKE));
  await sleep(200);
  assert.equal(heards.length, 0, "early data was taken");

  relay.letGo();
  await second.ready();
  await until("the bytes, once", () => heards[0]?.bytes.toString() === "early");
});

/** RFC 9000, section 17.2: of packets with a long header. */
const PacketKind = { INITIAL: 0, EARLY: 1, HANDSHAKE: 2, RETRY: 3 } as const;

/** Stands between clients and the server, sees which packets clients send, and may keep the end of handshakes back. */
async function openRelay(server: number) {
  const front = createSocket("udp4");
  const back = createSocket("udp4");
  for (const socket of [front, back]) {
    // Not closed at the end: the library says goodbye for a while after its connections are closed.
    socket.unref().bind(0, LOOPBACK);
    await once(socket, "listening");
  }
  let client = 0;
  let held: Buffer[] = [];
  const relay = {
    port: front.address().port,
    seen: [] as number[],
    holdsHandshake: false,
    letGo() {
      relay.holdsHandshake = false;
      for (const datagram of held) back.send(datagram, server, LOOPBACK);
      held = [];
    },
  };
  front.on("message", (datagram, { port }) => {
    client = port;
    const kinds = packetKinds(datagram);
    relay.seen.push(...kinds);
    const isLate =
      relay.seen.includes(PacketKind.EARLY) && (kinds.length === 0 || kinds.includes(PacketKind.HANDSHAKE));
    if (relay.holdsHandshake && isLate) held.push(datagram);
    else back.send(datagram, server, LOOPBACK);
  });
  // Once the server has answered, early data is late.
  back.on("message", async (datagram) => {
    while (relay.holdsHandshake && !relay.seen.includes(PacketKind.EARLY)) await turns(1);
    front.send(datagram, client, LOOPBACK);
  });
  return relay;
}

/** Of the packets with a long header in a datagram; RFC 9000, sections 12.2 and 17.2. */
function packetKinds(datagram: Buffer): number[] {
  const kinds: number[] = [];
  let at = 0;
  const number = (): number => {
    const bytes = 1 << (datagram[at]! >> 6);
    let value = datagram[at]! & 0x3f;
    for (let index = 1; index < bytes; index++) value = value * 256 + datagram[at + index]!;
    at += bytes;
    return value;
  };
  while (at < datagram.length && (datagram[at]! & 0x80) !== 0) {
    const kind = (datagram[at]! >> 4) & 3;
    kinds.push(kind);
    at += 5;
    at += 1 + datagram[at]!;
    at += 1 + datagram[at]!;
    if (kind === PacketKind.INITIAL) {
      const token = number();
      at += token;
    }
    const length = number();
    at += length;
  }
  return kinds;
}

/**
 * A ticket of the library is BoringSSL's SSL_SESSION in DER behind its length, with QUIC's parameters after it. Of its
 * fields, [24] says how much early data the server takes, and [25] is there always.
 */
function fieldsOf(ticket: Buffer): { end: number; early: number | undefined; next: number } {
  const end = 8 + Number(ticket.readBigUInt64BE(0));
  let early: number | undefined;
  // Behind the head of the SEQUENCE, which takes four bytes.
  for (let at = 12; at < end; ) {
    const tag = ticket[at]!;
    if (tag === 0xb8) early = at;
    if (tag === 0xb9) return { end, early, next: at };
    const short = ticket[at + 1]!;
    if (short < 0x80) at += 2 + short;
    else if (short === 0x81) at += 3 + ticket[at + 2]!;
    else at += 4 + ticket.readUInt16BE(at + 2);
  }
  throw new Error("The ticket has no field [25]");
}

function earlyDataOf(ticket: Buffer): number | undefined {
  return fieldsOf(ticket).early;
}

/** The same ticket, saying that the server takes 2^32 - 1 bytes of early data. */
function withEarlyData(ticket: Buffer): Buffer {
  const { end, next } = fieldsOf(ticket);
  const session = Buffer.concat([
    ticket.subarray(8, next),
    Buffer.from("b807020500ffffffff", "hex"),
    ticket.subarray(next, end),
  ]);
  session.writeUInt16BE(session.length - 4, 2);
  const length = Buffer.alloc(8);
  length.writeBigUInt64BE(BigInt(session.length));
  return Buffer.concat([length, session, ticket.subarray(end)]);
}
