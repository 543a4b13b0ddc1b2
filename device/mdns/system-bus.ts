import type { EventEmitter } from "node:events";
import { existsSync } from "node:fs";
import type { MessageBus } from "@jellybrick/dbus-next";

/** How long an answer may take: the programs behind it are on this machine. */
const ANSWER_MS_MAX = 5_000;

const USUAL_ADDRESS = "unix:path=/var/run/dbus/system_bus_socket";

const BUS = { destination: "org.freedesktop.DBus", path: "/org/freedesktop/DBus", interface: "org.freedesktop.DBus" };

/** A method of a program on the bus. */
export interface Call {
  /** "org.freedesktop.Avahi" */
  destination: string;
  path: string;
  interface: string;
  member: string;
  /** Types of the body, in the letters of D-Bus. */
  signature?: string;
  body?: unknown[];
}

export interface Signal {
  path: string;
  interface: string;
  member: string;
  body: readonly unknown[];
}

/** A program answered that it would not. */
export class BusError extends Error {
  /** "org.freedesktop.Avahi.CollisionError" */
  readonly type: string;

  constructor(type: string, message: string) {
    super(message);
    this.type = type;
  }
}

/** The machine's D-Bus, by the one package for it. DBUS_SYSTEM_BUS_ADDRESS says where, if not at the usual place. */
export interface SystemBus {
  /** The values of the answer. Rejects with a BusError, or an Error when none comes within 5 s. Starts no program. */
  call(call: Call): Promise<unknown[]>;
  /** Signals that fit a match rule are handed to `onSignal`. */
  match(rule: string): Promise<void>;
  /** Whether a program of this name is there. */
  has(name: string): Promise<boolean>;
  close(): void;
}

/** Rejects when there is no bus. `onEnd`: it is gone, and all that was asked for on it; not after `close`. */
export async function openSystemBus(onSignal: (signal: Signal) => void, onEnd: () => void): Promise<SystemBus> {
  const socket = /^unix:path=([^%,;]+)$/.exec(process.env.DBUS_SYSTEM_BUS_ADDRESS || USUAL_ADDRESS)?.[1];
  // Many a gateway has no bus: the package, with its megabytes, stays on the disk there.
  if (socket !== undefined && !existsSync(socket)) throw new Error(`nothing is at ${socket}`);
  const { systemBus, Message, MessageFlag, MessageType, DBusError } = await import("@jellybrick/dbus-next");
  const bus = systemBus();
  let isOpen = true;
  const pending = new Set<(error: Error) => void>();
  const end = (error: Error): void => {
    if (!isOpen) return;
    isOpen = false;
    for (const reject of pending) reject(error);
    pending.clear();
    bus.disconnect();
  };
  bus.on("message", ({ type, path, interface: name, member, body }) => {
    if (isOpen && type === MessageType.SIGNAL) onSignal({ path, interface: name, member, body });
  });
  await connected(bus);
  const lost = (error: Error): void => {
    if (!isOpen) return;
    end(error);
    onEnd();
  };
  errorsOf(bus).on("error", lost);
  // The package itself tells nobody of a bus that closes the connection.
  (bus as unknown as { _connection: EventEmitter })._connection.once("end", () => lost(new Error("D-Bus is gone")));

  const call = ({ signature = "", body = [], ...rest }: Call): Promise<unknown[]> =>
    new Promise((resolve, reject) => {
      if (!isOpen) throw new Error("D-Bus is gone");
      const timer = setTimeout(() => fail(new Error(`${rest.destination} does not answer`)), ANSWER_MS_MAX);
      const over = (): void => {
        clearTimeout(timer);
        pending.delete(fail);
      };
      const fail = (error: Error): void => {
        over();
        reject(error instanceof DBusError ? new BusError(error.type, error.text) : error);
      };
      pending.add(fail);
      const message = new Message({ ...rest, signature, body, flags: MessageFlag.NO_AUTO_START });
      bus.call(message).then((reply) => {
        over();
        resolve(reply?.body ?? []);
      }, fail);
    });

  return {
    call,
    match: async (rule) => {
      await call({ ...BUS, member: "AddMatch", signature: "s", body: [rule] });
    },
    has: async (name) => {
      const [answer] = await call({ ...BUS, member: "NameHasOwner", signature: "s", body: [name] });
      return answer === true;
    },
    close: () => end(new Error("D-Bus was closed")),
  };
}

function connected(bus: MessageBus): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => refused(new Error("D-Bus does not answer")), ANSWER_MS_MAX);
    const accepted = (): void => {
      clearTimeout(timer);
      errorsOf(bus).removeListener("error", refused);
      resolve();
    };
    const refused = (error: Error): void => {
      clearTimeout(timer);
      bus.removeListener("connect", accepted);
      // More of them may follow, and nobody listens any more.
      errorsOf(bus).on("error", () => {});
      bus.disconnect();
      reject(error);
    };
    bus.once("connect", accepted);
    errorsOf(bus).once("error", refused);
  });
}

/** The package's types leave them out. */
function errorsOf(bus: MessageBus): EventEmitter {
  return bus as unknown as EventEmitter;
}
