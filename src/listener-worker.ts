import { parentPort, workerData } from "node:worker_threads";
import type { ListenerSettings } from "./config/settings.ts";
import { Doors, type WorkerDoors } from "./listeners.ts";
import { HostClock } from "./os/clock.ts";
import { KnownTime } from "./os/known-time.ts";
import { Turn } from "./transport/turn.ts";
import type { WorkerStart } from "./transport/workers/messages.ts";
import { PortLog } from "./transport/workers/port-log.ts";
import { Serving } from "./transport/workers/serve.ts";

/** A thread that serves connections beside the core's: its listeners are made as those of the core are. */
const start = workerData as WorkerStart;
const { clockTrust, ...given } = start.data as WorkerDoors;
const port = parentPort!;
const turn = new Turn();
const time = new KnownTime(new HostClock(clockTrust), () => 0);
time.learn(given.core.leastMs);
const doors = new Doors({ ...given, turn, time, log: new PortLog(port, start.level) });
new Serving(start, port, {
  turn,
  make: (settings) => doors.make(settings as ListenerSettings),
  reload: () => doors.reloadTls(),
});
