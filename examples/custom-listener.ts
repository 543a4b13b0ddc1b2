// A way in of your own. This one is a TCP server that lets only some addresses in, before they have sent anything; in
// the same way you serve a serial port, a tunnel, or whatever else gives you a stream of bytes.
import { createServer, type Server } from "node:net";
import { type Accept, attachStream, createBroker, type Listener, type Turn } from "mqtt-broker";

class GuardedListener implements Listener {
  readonly name = "guarded";
  url = "guarded:";
  private readonly allowed: readonly string[];
  private readonly port: number;
  private readonly turn: Turn;
  private server: Server | undefined;

  constructor(port: number, allowed: readonly string[], turn: Turn) {
    this.port = port;
    this.allowed = allowed;
    this.turn = turn;
  }

  /** The broker calls this once, when it starts; from then on every client is handed to `accept`. */
  async listen(accept: Accept): Promise<void> {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      if (!this.allowed.includes(socket.remoteAddress ?? "")) {
        socket.destroy();
        return;
      }
      attachStream(socket, accept, this.turn, this.name);
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.port, "127.0.0.1", resolve);
    });
    this.server = server;
    const address = server.address();
    if (address !== null && typeof address !== "string") this.url = `tcp://127.0.0.1:${address.port}`;
  }

  /** No new clients. Those that are connected are the broker's to end. */
  async close(): Promise<void> {
    this.server?.close();
  }
}

const broker = createBroker();
await broker.addListener(new GuardedListener(Number(process.env.PORT ?? 1883), ["127.0.0.1"], broker.turn));
await broker.start();
console.log(`Listening on ${broker.urls.join(", ")}`);

process.once("SIGTERM", () => broker.stop());
