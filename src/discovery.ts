import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { Advertisement } from "../device/mdns/choose.ts";
import { type Listening, listeningAt, type Service, servicesOf } from "../device/mdns/services.ts";
import type { ListenerSettings, Settings } from "./config/settings.ts";
import type { AuthMethod } from "./core/access.ts";
import type { Log } from "./core/ports.ts";
import type { Companion } from "./running-broker.ts";
import { VERSION } from "./version.ts";

/** How often it is looked whether other listeners listen than those that are advertised. */
const LOOK_MS = 1000;
/** The end waits no longer: whoever is to say goodbye may hang, and clients and the disk are to be served all the same. */
const GOODBYE_MS_MAX = 1000;
const VERSION_NAMES = { 3: "3.1", 4: "3.1.1", 5: "5" } as const;
/** Hexadecimal digits: 128 bits are enough to tell authorities, and brokers, apart. */
const DIGITS = 32;
/** The ways to prove who one is that have a word in TXT. */
const AUTH_WORDS: Partial<Record<AuthMethod, string>> = {
  sha256: "password",
  plain_password: "password",
  scrypt: "password",
  argon2id: "password",
  mosquitto: "password",
  client_cert: "cert",
};
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

export interface DiscoveryTools {
  log: Log;
  /** What really listens now, by its listener's name. */
  listeners: () => readonly { name: string; url: string }[];
  /** How the listener of that name is set up; undefined for one that is none of MQTT's. */
  settingsOf: (name: string) => ListenerSettings | undefined;
  /** Whether anybody may come without a user name, as the configuration says now. */
  isOpenToAll: () => boolean;
}

/** Tells the local network what listens here, as long as it does. */
export class Discovery implements Companion {
  private readonly settings: Pick<Settings, "mdns">;
  private readonly tools: DiscoveryTools;
  private readonly advertisement: Advertisement;
  private readonly name: string;
  private readonly id = machineId();
  private told = "";
  private timer: NodeJS.Timeout | undefined;
  private ended: Promise<void> | undefined;

  constructor(settings: Pick<Settings, "mdns">, tools: DiscoveryTools) {
    const { provider, name } = settings.mdns;
    this.settings = settings;
    this.tools = tools;
    this.name = name ?? `MQTT broker on ${hostname()}`;
    // The machine's own name is in the certificates of `certs init`.
    const host = name === undefined ? hostname().split(".")[0] : undefined;
    this.advertisement = new Advertisement({
      mode: provider,
      name: this.name,
      ...(host !== undefined && { host }),
      log: tools.log,
    });
  }

  async start(): Promise<void> {}

  opened(): void {
    if (this.settings.mdns.provider === "off") return;
    const services = this.services();
    this.told = JSON.stringify(services);
    void this.advertisement.start(services);
    this.timer = setInterval(() => void this.look(), LOOK_MS).unref();
  }

  /** Of a single listener too the goodbye goes first. */
  async leaving(): Promise<void> {
    if (this.timer !== undefined) await withinPatience(this.look());
  }

  /** The goodbye is sent before the listeners close, so that nobody comes to closed doors. */
  closing(): Promise<void> {
    clearInterval(this.timer);
    this.timer = undefined;
    this.ended ??= withinPatience(this.advertisement.stop());
    return this.ended;
  }

  /** Also when the listeners never opened. */
  async stop(): Promise<void> {
    await this.closing();
  }

  sysValues(): [topic: string, value: string | number][] {
    return this.advertisement.sysValues();
  }

  private async look(): Promise<void> {
    const services = this.services();
    const text = JSON.stringify(services);
    if (text === this.told) return;
    this.told = text;
    await this.advertisement.update(services);
  }

  private services(): Service[] {
    const listening = this.tools.listeners().flatMap(({ name, url }) => {
      const settings = this.tools.settingsOf(name);
      // Nobody but its proxies can connect there.
      if (settings !== undefined && "proxies" in settings) return [];
      const facts = this.factsOf(settings);
      return listeningAt(name, url).map((way) => ({ ...way, ...facts }));
    });
    return servicesOf(listening, { name: this.name, id: this.id, version: VERSION });
  }

  /** What clients can know of a listener before they connect. */
  private factsOf(listener: ListenerSettings | undefined): Partial<Listening> {
    if (listener === undefined) return {};
    const tls = "tls" in listener ? listener.tls : undefined;
    const { versions, authMethods } = listener.entrance ?? {};
    return {
      ...(versions !== undefined && { versions: versions.map((version) => VERSION_NAMES[version]) }),
      auth: tls?.clientCert === "required" ? ["cert"] : this.authOf(authMethods),
      ...(tls !== undefined && { fingerprint: authorityOf(tls.certificates[0]?.cert) }),
    };
  }

  /** How clients show who they are; undefined where that depends on who they are. `methods`: what counts; default: all. */
  private authOf(methods: readonly AuthMethod[] | undefined): string[] | undefined {
    if (this.tools.isOpenToAll() && (methods === undefined || methods.includes("anonymous"))) return ["anonymous"];
    const words = new Set(methods?.map((method) => AUTH_WORDS[method]));
    const known = [...words].filter((word) => word !== undefined);
    return known.length > 0 && known.length === words.size ? known : undefined;
  }
}

function withinPatience(goodbye: Promise<void>): Promise<void> {
  return Promise.race([goodbye, sleep(GOODBYE_MS_MAX, undefined, { ref: false })]);
}

/** Stays the same for this machine, and tells nobody its own number (machine-id(5)). */
function machineId(): string {
  let own: string;
  try {
    own = readFileSync("/etc/machine-id", "latin1").trim();
  } catch {
    own = hostname();
  }
  return createHash("sha256").update(`mqtt-broker ${own}`).digest("hex").slice(0, DIGITS);
}

/** Fingerprint of the last certificate of the chain that clients are shown: its authority's, or its own. */
function authorityOf(file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  try {
    const last = readFileSync(file, "latin1").match(PEM_CERTIFICATE)?.at(-1);
    if (last === undefined) return undefined;
    return new X509Certificate(last).fingerprint256.replaceAll(":", "").toLowerCase().slice(0, DIGITS);
  } catch {
    // Whoever serves the file has said what is wrong with it.
    return undefined;
  }
}
