import { spawn } from "node:child_process";
import { fstatSync, readSync, type Stats, statSync, writeSync } from "node:fs";
import type { LineSettings } from "./line-spec.ts";

/** What a line hears of its tty. Nothing is called after `close`. */
export interface TtyEvents {
  /** The bytes are used again afterwards. */
  onData(bytes: Uint8Array): void;
  /** There is room again after a `write` that did not take all. */
  onWritable(): void;
  /** The device is gone, or broken; the tty is to be closed. */
  onGone(reason: string): void;
}

/** An open serial device. */
export interface Tty {
  /** As `identityOf` its path while it leads to this device. */
  readonly identity: string;
  /** Returns how many bytes the system took: fewer when it has no room, and then `onWritable` comes. Throws when the device is gone. */
  write(bytes: Uint8Array): number;
  /** `discard`: what the system has not sent is dropped; else it is sent first. Never rejects. Idempotent. */
  close(discard: boolean): Promise<void>;
}

export type OpenTty = (path: string, settings: LineSettings, events: TtyEvents) => Promise<Tty>;

/** Said here, since its types are those of all operating systems at once. */
interface Binding {
  open(options: Record<string, unknown>): Promise<BoundPort>;
}
interface BoundPort {
  readonly fd: number | null;
  readonly poller: {
    on(event: "readable" | "writable", listener: (error: Error | null) => void): unknown;
    poll(events: number): void;
  };
  flush(): Promise<void>;
  close(): Promise<void>;
}

const READABLE = 1;
const WRITABLE = 2;

const READ_BYTES = 4096;
/** Other work gets its turn between as many reads. */
const READS_MAX = 8;

/**
 * Opens a serial device with the package `serialport`, for this process alone among those that lock it (flock). Rejects
 * with what the system said.
 *
 * The package sets up the device and waits for it; the bytes are read and written here. Its own loop reads on for ever when
 * a device is unplugged while it sends (the system answers "0 bytes", which the package takes for "try again"): it never
 * says that the line is gone and keeps a processor busy. And while one direction waits, its poller forgets the other one.
 *
 * DTR and RTS: Linux raises both when it opens a device that nobody has open, and there is no way to ask it not to. It
 * drops DTR at the last close if HUPCL is set, as it is by default, and `hupcl: false` does not clear it. Each fall and
 * rise resets an Arduino, so HUPCL is cleared here: from then on neither a restart of the broker nor anything else does.
 */
export const openTty: OpenTty = async (path, settings, events) => {
  const { SerialPort } = await import("serialport");
  const port = await (SerialPort.binding as unknown as Binding).open({
    path,
    baudRate: settings.baudRate,
    dataBits: 8,
    parity: settings.parity,
    stopBits: settings.stopBits,
    rtscts: settings.flow === "rts",
    xon: settings.flow === "xon",
    xoff: settings.flow === "xon",
    lock: true,
    hupcl: false,
  });
  await clearHangUp(path);
  return new BoundTty(port, events);
};

/** Which device a path leads to, undefined when to none. It changes when another one is plugged in at the same path. */
export function identityOf(path: string): string | undefined {
  try {
    return identity(statSync(path));
  } catch {
    return undefined;
  }
}

const UNPLUGGED = "it was unplugged";

/** Why a device that could not be read or written is given up. */
export function goneReason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code === "EIO" || code === "ENXIO" || code === "ENODEV" ? UNPLUGGED : `the system said: ${message}`;
}

class BoundTty implements Tty {
  readonly identity: string;
  private readonly port: BoundPort;
  private readonly events: TtyEvents;
  private readonly fd: number;
  private readonly buffer = new Uint8Array(READ_BYTES);
  private waiting = READABLE;
  private isOpen = true;
  private closing: Promise<void> | undefined;

  constructor(port: BoundPort, events: TtyEvents) {
    this.port = port;
    this.events = events;
    this.fd = port.fd!;
    this.identity = identity(fstatSync(this.fd));
    port.poller.on("readable", this.onReadable);
    port.poller.on("writable", this.onWritable);
    port.poller.poll(this.waiting);
  }

  write(bytes: Uint8Array): number {
    const taken = unlessFull(() => writeSync(this.fd, bytes)) ?? 0;
    if (taken < bytes.length) {
      this.waiting |= WRITABLE;
      this.port.poller.poll(this.waiting);
    }
    return taken;
  }

  close(discard: boolean): Promise<void> {
    this.isOpen = false;
    this.closing ??= this.closePort(discard);
    return this.closing;
  }

  private async closePort(discard: boolean): Promise<void> {
    // A device that is blocked by flow control is not closed for 30 s, unless there is nothing left to send.
    if (discard) await this.port.flush().catch(() => {});
    await this.port.close().catch(() => {});
  }

  private readonly onReadable = (error: Error | null): void => {
    if (!this.isOpen) return;
    // All that a poll can report is that the device has been hung up.
    const gone = error === null ? this.read() : UNPLUGGED;
    if (gone !== undefined) this.events.onGone(gone);
    else if (this.isOpen) this.port.poller.poll(this.waiting);
  };

  /** Returns why the device is gone, undefined when it is not. */
  private read(): string | undefined {
    for (let reads = 0; reads < READS_MAX && this.isOpen; reads++) {
      let count: number | undefined;
      try {
        count = unlessFull(() => readSync(this.fd, this.buffer));
      } catch (error) {
        return goneReason(error);
      }
      if (count === 0) return UNPLUGGED;
      if (count !== undefined) this.events.onData(this.buffer.subarray(0, count));
      if (count !== READ_BYTES) break;
    }
    return undefined;
  }

  private readonly onWritable = (error: Error | null): void => {
    // The other listener hears of errors too.
    if (!this.isOpen || error !== null || (this.waiting & WRITABLE) === 0) return;
    this.waiting &= ~WRITABLE;
    this.port.poller.poll(this.waiting);
    this.events.onWritable();
  };
}

/** undefined: there is nothing to read, or no room, at the moment. */
function unlessFull(act: () => number): number | undefined {
  try {
    return act();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EAGAIN" || code === "EINTR") return undefined;
    throw error;
  }
}

/** By its path: a child that inherited the file descriptor would make it a blocking one. Where there is no stty, nothing is done. */
function clearHangUp(path: string): Promise<void> {
  return new Promise((resolve) => {
    const child = spawn("stty", ["-F", path, "-hupcl"], { stdio: "ignore", timeout: 1000 });
    child.on("error", () => resolve());
    child.on("exit", () => resolve());
  });
}

function identity({ dev, ino, rdev }: Stats): string {
  return `${dev}:${ino}:${rdev}`;
}
