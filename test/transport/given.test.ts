import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { GivenListener } from "../../src/transport/given.ts";
import { Turn } from "../../src/transport/turn.ts";
import { withSockets } from "../support/given-sockets.ts";
import { Heard } from "./rig.ts";
import { listenerSuite, type Opened } from "./suite.ts";
import { connectTo, portOf } from "./tcp-rig.ts";

const HOST = "127.0.0.1";
const ADVICE = "start the broker by a .socket unit of systemd, or give the number that its parent left open";
/** More than the suites open in one run. */
const SOCKETS = 70;
const OWN = "MQTT_GIVEN_SUITE";

const suite = process.env[OWN];
if (suite === undefined) runsHere();
else {
  // This file again, in a process that was started with the sockets.
  let fd = 3;
  for (const sharedRead of [true, false]) {
    const how = sharedRead ? "the shared buffer" : "'data' events";
    const title = `a given ${suite === "tcp" ? "TCP" : "Unix"} socket, read by ${how}`;
    listenerSuite(title, async () => given(fd++, sharedRead));
  }
}

function given(fd: number, sharedRead: boolean): Opened {
  const turn = new Turn();
  const listener = new GivenListener({ name: "main", fd, turn, sharedRead });
  assert.equal(listener.url, `fd:${fd}`);
  if (suite === "tcp") {
    return {
      listener,
      turn,
      dial: () => connectTo({ host: HOST, port: portOf(listener) }),
      url: /^tcp:\/\/127\.0\.0\.1:[1-9]\d*$/,
      peer: (client) => ({
        address: `${HOST}:${(client as Socket).localPort}`,
        local: true,
        listener: "main",
        transport: "tcp",
      }),
    };
  }
  const path = join(suite ?? "", `${fd}.sock`);
  return {
    listener,
    turn,
    dial: () => connectTo({ path }),
    url: `unix:${path}`,
    peer: () => ({ address: path, local: true, listener: "main", transport: "unix" }),
  };
}

function runsHere(): void {
  describe("GivenListener", () => {
    it("keeps the contract of listeners over inherited TCP sockets", async () => {
      await runSuite("tcp", `${HOST}:0`);
    });

    it("keeps it over inherited Unix sockets", async () => {
      const folder = mkdtempSync(join(tmpdir(), "mqtt-given-"));
      try {
        await runSuite(folder, (fd) => join(folder, `${fd}.sock`));
      } finally {
        rmSync(folder, { recursive: true });
      }
    });

    for (const [title, fd, reason] of [
      ["is not open", 60_000, `no such file descriptor is open: ${ADVICE}`],
      ["is no socket", "file", `it is no socket: ${ADVICE}`],
    ] as const) {
      it(`refuses a descriptor that ${title}, and leaves it alone`, async () => {
        const file = openSync("/dev/null", "r");
        const number = fd === "file" ? file : fd;
        const listener = new GivenListener({ name: "main", fd: number, turn: new Turn() });
        await assert.rejects(
          listener.listen(() => new Heard()),
          { message: `Cannot listen on fd:${number}: ${reason}` },
        );
        await listener.close();
        closeSync(file);
      });
    }

    for (const [names, reason] of [
      [[], "systemd handed over no sockets: FileDescriptorName= of a .socket unit gives a name"],
      [
        ["a", "b"],
        "of systemd's sockets none is called so, but a, b: FileDescriptorName= of a .socket unit gives a name",
      ],
      [["mqtt", "mqtt"], "systemd handed over 2 sockets of that name: give their numbers as fd instead"],
      [["a", "mqtt"], `no such file descriptor is open: ${ADVICE}`],
    ] as const) {
      it(`looks for the name mqtt among [${names.join(", ")}]`, async () => {
        const sockets = names.map((name, index) => ({ fd: 50_000 + index, name }));
        const listener = new GivenListener({ name: "main", fdName: "mqtt", given: sockets, turn: new Turn() });
        await assert.rejects(
          listener.listen(() => new Heard()),
          { message: `Cannot listen on fd:mqtt: ${reason}` },
        );
      });
    }
  });
}

async function runSuite(which: string, address: string | ((fd: number) => string)): Promise<void> {
  const addresses = Array.from({ length: 2 * SOCKETS }, (_, index) =>
    typeof address === "string" ? address : address(3 + index),
  );
  const [python, ...words] = withSockets(addresses);
  const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
  const env = { ...environment, [OWN]: which };
  const command = [process.execPath, "--test-reporter=tap", import.meta.filename];
  const { stdout } = await promisify(execFile)(python!, [...words, ...command], { env, maxBuffer: 2 ** 26 });
  assert.match(stdout, /^# fail 0$/m);
  const passed = Number(/^# pass (\d+)$/m.exec(stdout)?.[1]);
  assert.ok(passed >= 80, `${passed} passed`);
}
