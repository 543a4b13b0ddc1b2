import { createServer } from "node:net";
import { duplexPair } from "node:stream";
import { connect, createServer as createTlsServer } from "node:tls";
import { attachStream, ServerListener } from "../../src/transport/stream.ts";
import { Turn } from "../../src/transport/turn.ts";
import { Heard, type Rig } from "./rig.ts";
import { linkSuite } from "./suite.ts";
import { connectTo, listenerRig, portOf, tcpRig } from "./tcp-rig.ts";

linkSuite("TCP, read into the shared buffer", () => tcpRig());
linkSuite("TCP, read by 'data' events", () => tcpRig({ sharedRead: false }));
linkSuite("an in-process stream", duplexRig);
linkSuite("a server of the user's", serverRig);
linkSuite("TLS", tlsRig);

async function duplexRig(): Promise<Rig> {
  const turn = new Turn();
  const ends: { destroy(): void }[] = [];
  return {
    turn,
    async connect(accepting) {
      const [stream, client] = duplexPair();
      ends.push(stream, client);
      const heard = new Heard();
      const link = attachStream(
        stream,
        (accepted) => {
          accepting?.(accepted);
          return heard;
        },
        turn,
        "attached",
      );
      return { link, stream, heard, client };
    },
    async close() {
      for (const end of ends) end.destroy();
    },
  };
}

async function serverRig(): Promise<Rig> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const turn = new Turn();
  const listener = new ServerListener("mine", server, turn);
  return listenerRig(listener, turn, () => connectTo({ host: "127.0.0.1", port: portOf(listener) }));
}

/** With a key both ends know beforehand, so that the test needs no certificate. */
async function tlsRig(): Promise<Rig> {
  const psk = Buffer.from("0123456789abcdef");
  const options = { ciphers: "PSK", minVersion: "TLSv1.2", maxVersion: "TLSv1.2" } as const;
  const server = createTlsServer({ ...options, pskCallback: () => psk, allowHalfOpen: true });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const turn = new Turn();
  const listener = new ServerListener("secure", server, turn);
  return listenerRig(listener, turn, async () => {
    const raw = await connectTo({ host: "127.0.0.1", port: portOf(listener) });
    const socket = connect({
      ...options,
      socket: raw,
      pskCallback: () => ({ psk, identity: "test" }),
      checkServerIdentity: () => undefined,
    });
    socket.on("error", () => {});
    // A link refused at once closes before the handshake is complete at this end.
    await new Promise<void>((resolve) => socket.once("secureConnect", resolve).once("close", resolve));
    return socket;
  });
}
