import { readFileSync } from "node:fs";
import { allowAll, allowLocal, denyAll } from "./auth/anonymous.ts";
import type { ListenerSettings, Settings } from "./config/settings.ts";
import type { Access } from "./core/access.ts";
import type { Limits } from "./core/limits.ts";
import type { Clock, Listener, Log } from "./core/ports.ts";
import type { Store } from "./core/store.ts";
import { loadPlugin } from "./plugin/load.ts";
import { RunningBroker } from "./running-broker.ts";
import { TcpListener } from "./transport/tcp.ts";
import type { Turn } from "./transport/turn.ts";

/** File descriptors that are not clients: listeners, log, standard streams, epoll and the like. */
const DESCRIPTORS_RESERVED = 48;

/**
 * Joins the parts that the settings ask for; `start()` is the caller's. Rejects with a message for the user when a
 * plugin or a store's module cannot be used. `onStoreFailed`: the store ended for a mistake of its own; see RunningBroker.
 */
export async function composeBroker(
  settings: Settings,
  log: Log,
  clock: Clock,
  onStoreFailed: (error: Error) => void,
): Promise<RunningBroker> {
  const hooks = await Promise.all(settings.plugins.map(loadPlugin));
  const broker = new RunningBroker({
    options: { ...settings.options, dailyBudgetBytes: settings.store.dailyBudgetBytes },
    limits: withinDescriptors(settings.limits, log),
    access: accessOf(settings),
    hooks,
    log,
    clock,
    ticks: true,
    store: await storeOf(settings, log),
    storeRequired: settings.store.required,
    onStoreFailed,
  });
  for (const listener of settings.listeners) await broker.addListener(listenerOf(listener, broker.turn, log));
  return broker;
}

/** Each kind is loaded when it is asked for. */
async function storeOf({ store, dataDir }: Settings, log: Log): Promise<Store | undefined> {
  switch (store.type) {
    case "memory":
      return undefined;
    case "sqlite": {
      const { SqliteStore } = await import("./store/sqlite/store.ts");
      return new SqliteStore({ folder: dataDir, log });
    }
    case "module": {
      const { loadStore } = await import("./store/module.ts");
      return loadStore(store.module!, { dataDir, log });
    }
  }
}

function listenerOf(settings: ListenerSettings, turn: Turn, log: Log): Listener {
  const { name, host, port, noDelay, keepAliveSeconds, reusePort } = settings;
  const onError = (error: Error): void => log.error("Cannot accept", { listener: name, reason: error.message });
  return new TcpListener({ name, host, port, turn, noDelay, keepAliveSeconds, reusePort, onError });
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
