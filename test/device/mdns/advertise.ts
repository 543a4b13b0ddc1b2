/**
 * An advertisement in a process of its own, so that it can be in a network of its own:
 * `node advertise.ts MODE NAME LISTENING [MS]`. With MS it is stopped so long after its start, ready or not. Each line of standard input is a list of what listens from then on, or "stop",
 * or "sys". What it logs and answers goes to standard output, as JSON.
 */
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { Advertisement, type MdnsMode } from "../../../device/mdns/choose.ts";
import { type Listening, type Service, servicesOf } from "../../../device/mdns/services.ts";
import { logTo } from "../../support/log-to.ts";

const [mode, name = "", listening = "[]", hasteMs] = process.argv.slice(2);

function say(level: string, message: string, fields = {}): void {
  console.log(JSON.stringify({ time: new Date().toISOString(), level, message, ...fields }));
}

function services(text: string): Service[] {
  return servicesOf(JSON.parse(text) as Listening[], { name, id: "gw-1", version: "0.1" });
}

const log = logTo(say);

const advertisement = new Advertisement({ mode: mode as MdnsMode, name, log });
say("info", "starting");
const started = advertisement.start(services(listening));
if (hasteMs !== undefined) {
  await sleep(Number(hasteMs));
  await advertisement.stop();
  say("info", "stopped");
}
await started;
say("info", "started");
if (hasteMs === undefined) await obey();
// What is left open then, besides, would keep the process.
process.stdin.destroy();

async function obey(): Promise<void> {
  for await (const line of createInterface(process.stdin)) {
    if (line === "stop") {
      await advertisement.stop();
      say("info", "stopped");
      break;
    }
    if (line === "sys") say("info", "sys", Object.fromEntries(advertisement.sysValues()));
    else {
      await advertisement.update(services(line));
      say("info", "updated");
    }
  }
}
