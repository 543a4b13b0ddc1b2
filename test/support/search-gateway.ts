import { type Pty, until } from "../device/serial/pty.ts";

/** MQTT-SN 1.2, section 5.4.2: SEARCHGW with radius 0, and the GWINFO that answers it: gateway 1. */
const SEARCH_GATEWAY = Buffer.from("030100", "hex");
const GATEWAY_INFO = "030201";

/** A device on the line, whose framing is raw, searches for the gateway. Throws Error when nothing answers it in time. */
export async function searchGateway(pty: Pty, patienceMs?: number): Promise<void> {
  pty.write(SEARCH_GATEWAY);
  await until(() => pty.sent.toString("hex").includes(GATEWAY_INFO), "GWINFO on the line", patienceMs);
}
