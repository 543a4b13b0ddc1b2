import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const PATIENCE_MS = 30_000;
const CONNACK = 2;
const PUBLISH = 3;
const PINGRESP = 13;
const PINGREQ_PACKET = Buffer.from([0xc0, 0]);

/**
 * Resolves when the broker at the port has answered CONNECT and handed out the retained message of the topic. It is asked
 * again every millisecond as long as nobody listens, or the message is not there. Rejects after half a minute.
 */
export async function untilServing(port: number, topicName: string): Promise<void> {
  const deadlineMs = Date.now() + PATIENCE_MS;
  while (Date.now() < deadlineMs) {
    if (await readsRetained(port, topicName, deadlineMs - Date.now())) return;
    await sleep(1);
  }
  throw new Error(`It does not hand out the retained message of ${topicName} after ${PATIENCE_MS / 1000} s`);
}

/** False when the connection fails, or ends before the message has come, or something else has come instead. */
function readsRetained(port: number, topicName: string, patienceMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    let gathered = Buffer.alloc(0);
    const done = (found: boolean): void => {
      socket.destroy();
      resolve(found);
    };
    socket.setTimeout(patienceMs, () => done(false));
    socket.on("error", () => done(false));
    socket.on("close", () => done(false));
    socket.on("connect", () => socket.write(connectPacket("bench-first")));
    socket.on("data", (chunk) => {
      gathered = Buffer.concat([gathered, chunk]);
      // Every packet that comes here is shorter than 16 KiB, so that its Remaining Length has one byte or two.
      for (let size = packetSize(gathered); size > 0 && size <= gathered.length; size = packetSize(gathered)) {
        const type = gathered[0]! >> 4;
        if (type === CONNACK && gathered[3] !== 0) return done(false);
        if (type === CONNACK) socket.write(Buffer.concat([subscribePacket(topicName), PINGREQ_PACKET]));
        if (type === PUBLISH && (gathered[0]! & 1) === 1) return done(true);
        // The answer to what was asked behind it is there, and the message is not.
        if (type === PINGRESP) return done(false);
        gathered = gathered.subarray(size);
      }
    });
  });
}

/** 0 as long as the length has not come. */
function packetSize(bytes: Uint8Array): number {
  if (bytes.length < 2) return 0;
  const low = bytes[1]!;
  if (low < 0x80) return 2 + low;
  return bytes.length < 3 ? 0 : 3 + (low & 0x7f) + bytes[2]! * 0x80;
}

function connectPacket(clientIdentifier: string): Buffer {
  return packet(0x10, Buffer.concat([text("MQTT"), Buffer.from([4, 0x02, 0, 0]), text(clientIdentifier)]));
}

function subscribePacket(topicFilter: string): Buffer {
  return packet(0x82, Buffer.concat([Buffer.from([0, 1]), text(topicFilter), Buffer.from([0])]));
}

function packet(header: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([header, body.length]), body]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]);
}
