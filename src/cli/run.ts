import { type Composed, composeBroker, composeControl } from "../compose.ts";
import type { Loaded } from "../config/load.ts";
import type { Settings } from "../config/settings.ts";
import type { Log } from "../core/ports.ts";
import { HostClock } from "../os/clock.ts";
import { openLog } from "../os/log.ts";
import { MemoryReturn } from "../os/memory.ts";
import { offerFolder } from "../os/native.ts";
import { openNotifier, watchdogMs } from "../os/notify.ts";
import { nameProcess } from "../os/process-name.ts";
import { holdHangup, watchSignals } from "../os/signals.ts";
import { Reloader } from "./reload.ts";
import { ServiceState } from "./service-state.ts";

const STOP_MS_MAX = 4_500;

/** A disk that takes longer than that may cost what was acknowledged without it. */
const UNWRITTEN = `Stopped after ${STOP_MS_MAX / 1000} seconds though the disk has not taken everything yet: what came in last may be lost where store.durability is "batch" or "never"`;

/**
 * Runs the broker until a signal ends it. `reread` loads the settings anew. Resolves with the exit code: 0 stopped as asked,
 * 1 failed to start.
 */
export async function run(settings: Settings, reread: () => Promise<Loaded>): Promise<number> {
  const wasHungUp = holdHangup();
  nameProcess("mqtt-broker");
  offerFolder(settings.dataDir);
  const clock = new HostClock(settings.store.clock);
  const log = openLog({ clock, ...settings.log });
  for (const file of settings.files) log.info(`Configuration read from ${file}`);
  for (const warning of settings.warnings) log.warn(warning);
  const notifier = openNotifier(process.env, log);
  const service = notifier && new ServiceState({ notifier, watchdogMs: watchdogMs(process.env, process.pid) });
  service?.starting();
  const ending: Ending = { signal: undefined };
  let composed: Composed;
  let reloader: Reloader;
  let stopped: Promise<number>;
  let isHungUp = false;
  try {
    // What is not on disk was not acknowledged, so ending loses nothing; whoever restarts us goes on from there.
    composed = await composeBroker(settings, log, clock, () => process.exit(1));
    reloader = new Reloader(settings, reread, composed, log);
    // Before it listens: who reads that it does may send a signal at once.
    stopped = untilStopped({ composed, reloader, service, log, ending });
    isHungUp = wasHungUp();
    await composed.broker.start();
  } catch (error) {
    // Stopped while it started, which is what was asked for.
    if (ending.signal !== undefined) return 0;
    const reason = error instanceof Error ? error.message : String(error);
    log.error(reason);
    service?.failed(reason);
    return 1;
  }
  const memory = new MemoryReturn();
  memory.start();
  reloader.start();
  const reload = () => reloadTold(service, reloader, "Asked for");
  const control = composeControl(settings, composed, reload, log);
  await control.start();
  const { broker } = composed;
  service?.ready({
    clients: () => broker.info.clientsConnected,
    urls: () => broker.urls,
    unkept: () => broker.unkept,
    problems: () => reloader.problems,
  });
  // What was read at the start may have been older than the signal.
  if (isHungUp && ending.signal === undefined) void reloadTold(service, reloader, "SIGHUP");
  const exitCode = await stopped;
  await control.stop();
  reloader.stop();
  memory.stop();
  return exitCode;
}

/** The signal that asked for the end. */
interface Ending {
  signal: string | undefined;
}

function reloadTold(service: ServiceState | undefined, reloader: Reloader, why: string): Promise<void> {
  return service === undefined ? reloader.reload(why) : service.reloading(() => reloader.reload(why));
}

interface Life {
  composed: Composed;
  reloader: Reloader;
  service: ServiceState | undefined;
  log: Log;
  ending: Ending;
}

function untilStopped({ composed: { broker, doors }, reloader, service, log, ending }: Life): Promise<number> {
  return new Promise((resolve) => {
    const crash = (error: unknown): void => {
      log.error("Stopping after an internal error", { reason: error instanceof Error ? error.stack : String(error) });
      process.exit(1);
    };
    process.on("uncaughtException", crash);
    process.on("unhandledRejection", crash);
    watchSignals({
      stop: (signal) => {
        ending.signal = signal;
        log.info(`Stopping on ${signal}`);
        service?.stopping();
        let isWritten = false;
        setTimeout(() => {
          if (!isWritten) log.error(UNWRITTEN);
          // Whatever else keeps the process alive after an orderly stop, a plugin's timer say, does so no longer than this.
          process.exit(0);
        }, STOP_MS_MAX).unref();
        doors.letGoOfGiven();
        void broker.stop().then(() => {
          isWritten = true;
          resolve(0);
        });
      },
      reload: () => void reloadTold(service, reloader, "SIGHUP"),
    });
  });
}
