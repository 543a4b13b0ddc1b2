import { readFileSync } from "node:fs";
import { allowAll, allowLocal, denyAll } from "../auth/anonymous.ts";
import { RunningBroker } from "../compose.ts";
import type { Settings } from "../config/settings.ts";
import type { Access } from "../core/access.ts";
import type { Limits } from "../core/limits.ts";
import type { Log } from "../core/ports.ts";
import { HostClock } from "../os/clock.ts";
import { openLog } from "../os/log.ts";
import { watchSignals } from "../os/signals.ts";
import { loadPlugin } from "../plugin/load.ts";
import { TcpListener } from "../transport/tcp.ts";

const STOP_MS_MAX = 4_500;
/** File descriptors that are not clients: listeners, log, standard streams, epoll and the like. */
const DESCRIPTORS_RESERVED = 48;

/** Runs the broker until a signal ends it. Resolves with the exit code: 0 stopped as asked, 1 failed to start. */
export async function run(settings: Settings): Promise<number> {
  const clock = new HostClock();
  const log = openLog({ clock, ...settings.log });
  for (const file of settings.files) log.info(`Configuration read from ${file}`);
  for (const warning of settings.warnings) log.warn(warning);
  let broker: RunningBroker;
  try {
    const hooks = await Promise.all(settings.plugins.map(loadPlugin));
    broker = new RunningBroker({
      options: settings.options,
      limits: withinDescriptors(settings.limits, log),
      access: accessOf(settings),
      hooks,
      log,
      clock,
      ticks: true,
    });
    for (const { name, host, port, noDelay, keepAliveSeconds, reusePort } of settings.listeners) {
      const onError = (error: Error): void => log.error("Cannot accept", { listener: name, reason: error.message });
      const { turn } = broker;
      await broker.addListener(
        new TcpListener({ name, host, port, turn, noDelay, keepAliveSeconds, reusePort, onError }),
      );
    }
    await broker.start();
  } catch (error) {
    log.error(error instanceof Error ? error.message : String(error));
    return 1;
  }
  return await untilStopped(broker, log);
}

function untilStopped(broker: RunningBroker, log: Log): Promise<number> {
  return new Promise((resolve) => {
    const crash = (error: unknown): void => {
      log.error("Stopping after an internal error", { reason: error instanceof Error ? error.stack : String(error) });
      process.exit(1);
    };
    process.on("uncaughtException", crash);
    process.on("unhandledRejection", crash);
    watchSignals({
      stop: (signal) => {
        log.info(`Stopping on ${signal}`);
        // Whatever keeps the process alive after an orderly stop, a plugin's timer say, does so no longer than this.
        setTimeout(() => process.exit(0), STOP_MS_MAX).unref();
        void broker.stop().then(() => resolve(0));
      },
      reload: () => log.info("SIGHUP: nothing to read again yet; restart to take up a changed configuration"),
    });
  });
}

function accessOf(settings: Settings): Access {
  switch (settings.anonymous) {
    case "all":
      return allowAll();
    case "local":
      return allowLocal();
    case "none":
      return denyAll();
  }
}

/**
 * Fewer clients when the system allows fewer open files: it would turn connections away itself, and could not say why.
 * A fifth is left to connections that have not sent their CONNECT yet.
 */
function withinDescriptors(limits: Limits, log: Log): Limits {
  const descriptors = openFilesMax();
  if (descriptors === undefined) return limits;
  const available = Math.max(2, descriptors - DESCRIPTORS_RESERVED);
  if (limits.clients + limits.connecting <= available) return limits;
  const connecting = Math.min(limits.connecting, Math.max(1, Math.floor(available / 5)));
  const clients = Math.min(limits.clients, available - connecting);
  if (clients < limits.clients) {
    log.warn(`At most ${clients} clients: the system allows ${descriptors} open files (LimitNOFILE=, ulimit -n)`);
  }
  return { ...limits, clients, connecting };
}

/** The soft limit of this process; undefined where it cannot be read. */
function openFilesMax(): number | undefined {
  try {
    const match = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"));
    return match === null ? undefined : Number(match[1]);
  } catch {
    return undefined;
  }
}
