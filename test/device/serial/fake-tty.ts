import { identityOf, type OpenTty, type Tty, type TtyEvents } from "../../../device/serial/tty.ts";

/** A device that does as it is told, at a path where there is some file. */
export class FakeTty implements Tty {
  readonly identity: string;
  events: TtyEvents | undefined;
  failure: Error | undefined;

  constructor(path: string) {
    this.identity = identityOf(path)!;
  }

  readonly open: OpenTty = async (_, __, events) => {
    this.events = events;
    return this;
  };

  write(bytes: Uint8Array): number {
    if (this.failure !== undefined) throw this.failure;
    return bytes.length;
  }

  async close(): Promise<void> {
    this.events = undefined;
  }
}
