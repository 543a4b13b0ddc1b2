import { SnGateway } from "../../../src/gateway/mqttsn/gateway.ts";
import { DEFAULT_SETTINGS } from "../../../src/gateway/mqttsn/settings.ts";
import { UdpListener } from "../../../src/gateway/mqttsn/udp.ts";
import { allowAll, createBroker, type RunningBroker, sqliteStore } from "../../../src/library.ts";
import { TestLog } from "../../core/stage.ts";

export interface UdpHost {
  readonly broker: RunningBroker;
  readonly gateway: SnGateway;
  readonly port: number;
  stop(): Promise<void>;
}

/** A broker with MQTT-SN over UDP. `folder`: where its sessions outlive it; `group`: on port 1884, with ADVERTISE each second. */
export async function startUdpHost(folder = "", group?: string): Promise<UdpHost> {
  const log = new TestLog("warn");
  const broker = createBroker({ log, auth: allowAll(), ...(folder !== "" && { store: sqliteStore({ folder }) }) });
  const advertiseSeconds = group === undefined ? 0 : 1;
  let timer: NodeJS.Timeout | undefined;
  const gateway = new SnGateway(
    { ...DEFAULT_SETTINGS, advertiseSeconds },
    {
      log,
      flushes: broker.turn,
      nowMs: () => performance.now(),
      schedule: (dueMs) => {
        clearTimeout(timer);
        if (dueMs === Number.POSITIVE_INFINITY) return;
        timer = setTimeout(() => gateway.tick(), Math.max(0, dueMs - performance.now()));
      },
    },
  );
  const [host, port] = group === undefined ? ["127.0.0.1", 0] : ["::", 1884];
  const listener = new UdpListener({ name: "sn", host, port, gateway, log, group, advertiseSeconds });
  await broker.addListener(listener);
  await broker.start();
  const stop = async (): Promise<void> => {
    await broker.stop();
    clearTimeout(timer);
  };
  return { broker, gateway, port: Number(listener.url.split(":").at(-1)), stop };
}
