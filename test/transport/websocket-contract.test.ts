import { listenerSuite } from "./suite.ts";
import { openWebSocket } from "./websocket-rig.ts";

listenerSuite("WebSocket", async () => openWebSocket());
