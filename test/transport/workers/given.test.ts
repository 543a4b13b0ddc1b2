import assert from "node:assert/strict";
import { test } from "node:test";
import type { WsListenerSettings } from "../../../src/config/settings.ts";
import { defaultLimits } from "../../../src/core/limits.ts";
import { Doors } from "../../../src/listeners.ts";
import { WALL_CLOCK } from "../../../src/transport/tls-clients.ts";
import { Turn } from "../../../src/transport/turn.ts";
import { WebSocketListener } from "../../../src/transport/websocket.ts";
import { FarListener } from "../../../src/transport/workers/far-listener.ts";
import { NotedLog } from "../tls-rig.ts";

test("a given socket is served by the core's own thread, since threads cannot share its descriptor", () => {
  const doors = new Doors({
    turn: new Turn(),
    log: new NotedLog(),
    time: WALL_CLOCK as ConstructorParameters<typeof Doors>[0]["time"],
    limits: defaultLimits(),
    maximumPacketSize: 1024,
    workers: { threads: 2, stackBytes: undefined, clockTrust: "trusted" },
  });
  const webSocket = { path: undefined, origins: [], trustedProxies: [] };
  const usual = { host: "::", port: 8083, noDelay: true, keepAliveSeconds: 0, reusePort: false };
  const settings: WsListenerSettings = { name: "web", type: "ws", ...usual, webSocket };
  assert.ok(doors.make(settings) instanceof FarListener);
  const given = doors.make({ ...settings, given: { fd: 3, fdName: undefined } });
  assert.ok(given instanceof WebSocketListener);
  assert.equal(given.url, "fd:3");
});
