import { after, before } from "node:test";
import { type ConnectionOptions, connect } from "node:tls";
import { WALL_CLOCK } from "../../src/transport/tls-clients.ts";
import { TlsFiles } from "../../src/transport/tls-files.ts";
import { CertificateFolder } from "../support/certificates.ts";
import { listenerSuite } from "./suite.ts";
import { HandWatch, NotedLog, settingsOf } from "./tls-rig.ts";
import { dialRaw, opening, openWebSocket, RawWebSocket, request } from "./websocket-rig.ts";

const folder = new CertificateFolder();
before(() => {
  folder.authority("ca");
  folder.issue("server", "ca", "localhost");
});
after(() => folder.remove());

listenerSuite("WebSocket", async () => openWebSocket());

listenerSuite("WebSocket over TLS", async () => {
  const log = new NotedLog();
  const files = new TlsFiles(settingsOf(folder), { log, watch: new HandWatch().watch, time: WALL_CLOCK });
  const opened = openWebSocket({ tls: { files, log } });
  const { listener } = opened;
  const dial = async (): Promise<RawWebSocket> => {
    const socket = await dialRaw(listener);
    const options: ConnectionOptions & { allowHalfOpen: true } = {
      socket,
      rejectUnauthorized: false,
      allowHalfOpen: true,
    };
    const secure = connect(options);
    secure.on("error", () => {});
    return new RawWebSocket(secure, await request(secure, "GET /mqtt HTTP/1.1", opening()));
  };
  return {
    ...opened,
    dial,
    url: /^wss:\/\/127\.0\.0\.1:[1-9]\d*\/mqtt$/,
    peer: (client) => ({ ...opened.peer(client), transport: "websocket-tls" }),
  };
});
