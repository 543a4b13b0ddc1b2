import { after, before } from "node:test";
import type { TLSSocket } from "node:tls";
import { Turn } from "../../../src/transport/turn.ts";
import { CertificateFolder } from "../../support/certificates.ts";
import { listenerSuite, type Opened } from "../suite.ts";
import type { RawWebSocket } from "../websocket-rig.ts";
import { dialFar, farListener, type Kind, localPortOf, makeWorkers } from "./worker-rig.ts";

/** One thread for all, since what it is made of takes longer to load than most tests do. */
const workers = makeWorkers();
const folder = new CertificateFolder();
before(() => {
  folder.authority("ours");
  folder.issue("server", "ours", "localhost", "DNS:localhost,IP:127.0.0.1");
});
after(async () => {
  await workers.stop();
  folder.remove();
});

const TRANSPORTS = { tls: "tls", ws: "websocket", wss: "websocket-tls" } as const;

for (const kind of ["tls", "ws", "wss"] as const) listenerSuite(`${kind} served by a thread`, async () => open(kind));

function open(kind: Kind): Opened {
  const turn = new Turn();
  const listener = farListener(kind, workers, folder, { turn });
  return {
    listener,
    turn,
    dial: () => dialFar(kind, listener, folder),
    url: kind === "tls" ? /^tls:\/\/127\.0\.0\.1:[1-9]\d*$/ : /^wss?:\/\/127\.0\.0\.1:[1-9]\d*\/mqtt$/,
    peer: (client) => ({
      address: `127.0.0.1:${localPortOf(client as TLSSocket | RawWebSocket)}`,
      local: true,
      listener: "main",
      transport: TRANSPORTS[kind],
    }),
    rival: () => ({
      listener: farListener(kind, workers, folder, { port: Number(/:(\d+)/.exec(listener.url)![1]) }),
      message: `Cannot listen on ${listener.url}: the port is in use by another program`,
    }),
  };
}
