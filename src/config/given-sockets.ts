import type { GivenChoice, ListenerSettings } from "./settings.ts";

/** A socket that systemd opened for this process. */
export interface GivenSocket {
  /** From 3 on. */
  fd: number;
  /** FileDescriptorName= of its .socket unit, by default the unit's name; "unknown" when nothing was said. */
  name: string;
}

/** Where systemd's sockets begin: behind standard input, output and error. */
const FIRST_FD = 3;
/** More than any unit has: a wrong number is not to keep us busy. */
const COUNT_MAX = 1024;

/** systemd's LISTEN_FDS and LISTEN_FDNAMES; empty unless LISTEN_PID is `pid`, since children inherit the environment. */
export function givenSockets(environment: Readonly<Record<string, string | undefined>>, pid: number): GivenSocket[] {
  const { LISTEN_PID, LISTEN_FDS = "", LISTEN_FDNAMES } = environment;
  if (LISTEN_PID !== String(pid) || !/^\d+$/.test(LISTEN_FDS)) return [];
  const names = LISTEN_FDNAMES?.split(":") ?? [];
  const count = Math.min(Number(LISTEN_FDS), COUNT_MAX);
  return Array.from({ length: count }, (_, index) => ({ fd: FIRST_FD + index, name: names[index] || "unknown" }));
}

/** Which of them a listener asks for; undefined: it opens one itself. */
export function chosenSocket(listener: ListenerSettings): GivenChoice | undefined {
  if (listener.type === "fd") return listener;
  return "given" in listener ? listener.given : undefined;
}
