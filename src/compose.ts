import { readFileSync } from "node:fs";
import { controlPath } from "./admin/control-path.ts";
import { ControlSocket } from "./admin/control-socket.ts";
import { operations } from "./admin/operations.ts";
import { AuthFile } from "./auth/auth-file.ts";
import { BookMaker } from "./auth/book-maker.ts";
import { Guard } from "./auth/guard.ts";
import { TrafficFile } from "./auth/traffic/traffic-file.ts";
import { TrafficRecord } from "./auth/traffic/traffic-record.ts";
import { OwnAccess } from "./bridge/own-access.ts";
import { thisPlace } from "./certs/machine.ts";
import { Reissue } from "./certs/reissue.ts";
import type { Settings } from "./config/settings.ts";
import type { Limits } from "./core/limits.ts";
import type { Clock, Log } from "./core/ports.ts";
import type { Store } from "./core/store.ts";
import { Discovery } from "./discovery.ts";
import { Gateways, upstreamOf } from "./gateways.ts";
import { certificatesToReissue, Doors, provenBy, servable } from "./listeners.ts";
import { watchFiles } from "./os/file-watch.ts";
import { KnownTime } from "./os/known-time.ts";
import { loadPlugin } from "./plugin/load.ts";
import { type Companion, RunningBroker } from "./running-broker.ts";

/** File descriptors that are not clients: listeners, log, standard streams, epoll and the like. */
const DESCRIPTORS_RESERVED = 48;

/** What runs, as far as somebody outside has to do with it. */
export interface Composed {
  broker: RunningBroker;
  auth: AuthFile;
  guard: Guard;
  traffic: TrafficRecord;
  doors: Doors;
  gateways: Gateways;
  reissue: Reissue;
}

/**
 * Joins the parts that the settings ask for; `start()` is the caller's. Rejects with a message for the user when a
 * plugin or a store's module cannot be used, or no listener can be served. `onStoreFailed`: the store ended for a mistake of its own; see RunningBroker.
 */
export async function composeBroker(
  settings: Settings,
  log: Log,
  clock: Clock,
  onStoreFailed: (error: Error) => void,
): Promise<Composed> {
  const store = await storeOf(settings, log);
  const auth = authOf(settings, log, clock);
  const guard = new Guard({ nowMs: () => clock.nowMs(), wallMs: () => clock.wallMs(), log, limits: settings.limits });
  const traffic = new TrafficRecord(() => clock.wallMs());
  auth.guard = guard;
  auth.observer = traffic;
  const reissue = reissueOf(log, clock, () => time.nowMs());
  await reissue.follow(certificatesToReissue(settings));
  const hooks = await Promise.all(settings.plugins.map(loadPlugin));
  const discovery = new Discovery(settings, {
    log,
    listeners: () => broker.listeners,
    settingsOf: (name) => doors.settingsOf(name),
    isOpenToAll: () => auth.anonymous === "all",
  });
  const upstream = await upstreamOf(settings, log, clock, () => broker);
  const broker: RunningBroker = new RunningBroker({
    options: { ...settings.options, dailyBudgetBytes: settings.store.dailyBudgetBytes },
    limits: withinDescriptors(settings.limits, log),
    access: upstream === undefined ? auth : new OwnAccess(auth, upstream.isOwn),
    // Without a folder of its own the broker keeps nothing.
    companions: [
      auth,
      reissue,
      { start: async () => {}, stop: () => doors.stop() },
      { start: async () => {}, stop: async () => gateways.stop() },
      discovery,
      ...(upstream === undefined ? [] : [upstream]),
      ...(settings.store.type === "sqlite" ? [new TrafficFile(traffic, settings.dataDir, log)] : []),
    ],
    hooks: upstream === undefined ? hooks : [upstream.hook, ...hooks],
    log,
    clock,
    ticks: true,
    store,
    storeRequired: settings.store.required,
    onStoreFailed,
    sysValues: () => [
      ...doors.sysValues(),
      ...discovery.sysValues(),
      ...gateways.sysValues(),
      ...(upstream?.sysValues() ?? []),
    ],
  });
  const { turn } = broker;
  const { maximumPacketSize } = settings.options;
  const time = new KnownTime(clock, () => broker.keptWallMs);
  const { limits } = settings;
  const workers = { ...settings.workers, clockTrust: settings.store.clock };
  const doors: Doors = new Doors({ turn, log, time, limits, maximumPacketSize, workers });
  for (const listener of await servable(settings.listeners, log)) {
    await broker.addListener(doors.make(listener), listener.entrance);
  }
  const gateways = new Gateways(settings, {
    turn,
    log,
    clock,
    clientsMax: limits.clients,
    sysIntervalMs: settings.options.sys.intervalMs,
    publish: (topicName, payload, options) => void broker.publish(topicName, payload, options),
    sessions: () => broker.sessions.map(({ clientId }) => clientId),
  });
  const { mountPoint } = settings.mqttSn;
  const entrance = mountPoint === undefined ? undefined : { mountPoint };
  for (const listener of gateways.listeners) await broker.addListener(listener, entrance);
  return { broker, auth, guard, traffic, doors, gateways, reissue };
}

/** What commands such as `mqtt-broker banned` ask. To be started when the broker has, which makes the folder. */
export function composeControl(
  { store, dataDir }: Settings,
  { guard, traffic }: Composed,
  reload: () => Promise<void>,
  log: Log,
): Companion {
  const folder = store.type === "sqlite" ? dataDir : undefined;
  return new ControlSocket({
    path: controlPath(folder, process.env.RUNTIME_DIRECTORY),
    operations: operations({
      traffic: () => traffic.lines(),
      banned: () => guard.list(),
      lift: (address) => guard.lift(address),
      reload,
    }),
    log,
  });
}

/** Each kind is loaded when it is asked for. */
async function storeOf({ store, dataDir }: Settings, log: Log): Promise<Store | undefined> {
  switch (store.type) {
    case "memory":
      return undefined;
    case "sqlite": {
      const { SqliteStore } = await import("./store/sqlite/store.ts");
      const store = new SqliteStore({ folder: dataDir, log });
      store.prepare();
      return store;
    }
    case "module": {
      const { loadStore } = await import("./store/module.ts");
      return loadStore(store.module!, { dataDir, log });
    }
  }
}

/** `knownMs`: what time it is at least. */
function reissueOf(log: Log, clock: Clock, knownMs: () => number): Reissue {
  return new Reissue({
    log,
    nowMs: knownMs,
    monotonicMs: () => clock.nowMs(),
    place: thisPlace,
    watch: (paths, changed) => watchFiles(paths, changed, log),
  });
}

function authOf(settings: Settings, log: Log, clock: Clock): AuthFile {
  const { auth } = settings;
  const wallMs = (): number => clock.wallMs();
  const books = new BookMaker(wallMs, auth.hashWorkers);
  return new AuthFile(auth, {
    log,
    wallMs,
    workingDirectory: process.cwd(),
    watch: (paths, changed) => watchFiles(paths, changed, log),
    bookOf: (read, anonymous) => books.make(read, anonymous),
    ...provenBy(settings),
  });
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
