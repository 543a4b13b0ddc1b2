/** The broker's own thread, which dies when it is told to in the channel "crash". */
import { BroadcastChannel } from "node:worker_threads";
import "../../../src/listener-worker.ts";

const channel = new BroadcastChannel("crash");
channel.onmessage = () => {
  throw new Error("broken on purpose");
};
channel.unref();
