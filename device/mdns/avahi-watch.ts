import { AVAHI } from "./avahi.ts";
import { openSystemBus, type SystemBus } from "./system-bus.ts";

const RECONNECT_MS = 5_000;
/** A restart of Avahi takes less: nobody else need take over for that. */
const ABSENT_MS = 2_000;

/** Tells whether avahi-daemon runs, as it comes and goes. */
export class AvahiWatch {
  private readonly onChange: (isThere: boolean) => void;
  private isThere: boolean | undefined;
  private bus: SystemBus | undefined;
  private timer: NodeJS.Timeout | undefined;
  private absence: NodeJS.Timeout | undefined;
  private isStopped = false;

  constructor(onChange: (isThere: boolean) => void) {
    this.onChange = onChange;
  }

  /** Resolves when it has told how it is now. Never rejects. */
  async start(): Promise<void> {
    await this.connect();
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
    clearTimeout(this.absence);
    this.bus?.close();
  }

  private async connect(): Promise<void> {
    try {
      const bus = await openSystemBus(
        ({ member, body }) => {
          if (member === "NameOwnerChanged") this.tell(body[2] !== "");
        },
        () => this.later(),
      );
      this.bus = bus;
      if (this.isStopped) {
        bus.close();
        return;
      }
      await bus.match(`type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='${AVAHI}'`);
      this.tell(await bus.has(AVAHI));
    } catch {
      this.later();
    }
  }

  /** Without a bus nobody can ask Avahi for anything; the bus may come, as it does when the machine starts. */
  private later(): void {
    this.bus?.close();
    this.tell(false);
    if (this.isStopped) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.connect(), RECONNECT_MS).unref();
  }

  private tell(isThere: boolean): void {
    clearTimeout(this.absence);
    if (this.isStopped || isThere === this.isThere) return;
    const say = (): void => {
      this.isThere = isThere;
      this.onChange(isThere);
    };
    if (isThere || this.isThere === undefined) say();
    else this.absence = setTimeout(say, ABSENT_MS);
  }
}
