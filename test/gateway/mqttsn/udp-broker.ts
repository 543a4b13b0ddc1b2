// A broker with MQTT-SN over UDP as a process of its own, to be cut off by whoever started it:
// node udp-broker.ts FOLDER [GROUP]. Without FOLDER ("") nothing outlives it. Prints its port.
import { startUdpHost } from "./udp-host.ts";

const [folder, group] = process.argv.slice(2);
const { port } = await startUdpHost(folder, group);
process.stdout.write(`${port}\n`);
