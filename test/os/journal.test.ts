import assert from "node:assert/strict";
import { join } from "node:path";
import { Writable } from "node:stream";
import { before, describe, it } from "node:test";
import { hostArchitecture } from "../../packaging/architecture.ts";
import { compileNative } from "../../packaging/native.ts";
import type { LogFields, LogLevel } from "../../src/core/ports.ts";
import { loadDatagrams } from "../../src/os/datagram.ts";
import { journalEntry, journalName, openJournal } from "../../src/os/journal.ts";
import { HostLog } from "../../src/os/log.ts";
import { emptyFolder } from "../smoke/program.ts";
import { receiveDatagrams } from "../support/datagrams.ts";

before(() => {
  compileNative(hostArchitecture());
});

/** Reads what the journal would, by its document: only the form with lengths is used here. */
function fieldsOf(entry: Uint8Array): [name: string, value: string][] {
  const bytes = Buffer.from(entry);
  const found: [string, string][] = [];
  for (let at = 0; at < bytes.length; ) {
    const nameEnd = bytes.indexOf("\n", at);
    const length = Number(bytes.readBigUInt64LE(nameEnd + 1));
    const valueEnd = nameEnd + 9 + length;
    assert.equal(bytes[valueEnd], 0x0a);
    found.push([bytes.toString("utf8", at, nameEnd), bytes.toString("utf8", nameEnd + 9, valueEnd)]);
    at = valueEnd + 1;
  }
  return found;
}

describe("journalEntry()", () => {
  it("has message, priority and identifier, and each field by a name of its own", () => {
    const fields = { client: "kitchen", sessionsKept: 3, clean: false, user: undefined };
    assert.deepEqual(fieldsOf(journalEntry("warn", "WARN  Client refused", fields)), [
      ["MESSAGE", "WARN  Client refused"],
      ["PRIORITY", "4"],
      ["SYSLOG_IDENTIFIER", "mqtt-broker"],
      ["MQTT_CLIENT", "kitchen"],
      ["MQTT_SESSIONS_KEPT", "3"],
      ["MQTT_CLEAN", "false"],
    ]);
  });

  it("gives each level the priority that syslog has for it", () => {
    const levels: LogLevel[] = ["error", "warn", "info", "debug", "trace"];
    assert.deepEqual(
      levels.map((level) => fieldsOf(journalEntry(level, "", undefined))[1]![1]),
      ["3", "4", "6", "7", "7"],
    );
  });

  it("lets no value forge a field", () => {
    const client = "a\nPRIORITY=0\nMESSAGE=é";
    assert.deepEqual(fieldsOf(journalEntry("info", "m", { client })).slice(3), [["MQTT_CLIENT", client]]);
  });

  it("shortens what a client may make long", () => {
    const [, value] = fieldsOf(journalEntry("info", "m", { client: "c".repeat(65_535) }))[3]!;
    assert.equal(value, `${"c".repeat(4096)}…`);
  });
});

describe("journalName()", () => {
  it("makes names that the journal takes", () => {
    for (const [name, wanted] of [
      ["client", "MQTT_CLIENT"],
      ["packetIdentifier", "MQTT_PACKET_IDENTIFIER"],
      ["qos2-left", "MQTT_QOS2_LEFT"],
      ["x".repeat(70), `MQTT_${"X".repeat(59)}`],
    ] as const) {
      assert.equal(journalName(name), wanted);
    }
  });
});

describe("HostLog with a journal", () => {
  const clock = { nowMs: () => 0, wallMs: () => 0, trusted: () => true };
  const logTo = (journal: ReturnType<typeof openJournal>, format: "journal" | "json" = "journal") => {
    const written: string[] = [];
    const output = new Writable({
      write(chunk, _encoding, done) {
        written.push(String(chunk));
        done();
      },
    });
    return { log: new HostLog({ clock, level: "info", format, output, journal }), written };
  };
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

  it("hands it each line with its fields, and the lines below an error as lines of their own", async (t) => {
    const path = join(emptyFolder(t), "journal");
    const receiver = await receiveDatagrams(t, path);
    const { log, written } = logTo(openJournal(loadDatagrams, path));
    log.info("Client connected", { client: "kitchen" });
    log.error("auth.json5:1:3: Unknown key", { source: "{ usr: 1 }" }, ["  { usr: 1 }", "    ^"]);
    const entries = (await receiver.count(4)).map((text) => fieldsOf(Buffer.from(text)));
    const shown = entries.map((entry) => [
      entry[0]![1],
      entry[1]![1],
      ...entry.slice(3).map((field) => field.join("=")),
    ]);
    assert.deepEqual(shown, [
      ["INFO  Client connected client=kitchen", "6", "MQTT_CLIENT=kitchen"],
      ["ERROR auth.json5:1:3: Unknown key", "3", "MQTT_SOURCE={ usr: 1 }"],
      ["ERROR   { usr: 1 }", "3"],
      ["ERROR     ^", "3"],
    ]);
    await turn();
    assert.deepEqual(written, []);
  });

  it("writes to standard output with a priority what the journal does not take", async (t) => {
    const { log, written } = logTo(openJournal(loadDatagrams, join(emptyFolder(t), "nobody")));
    log.warn("Client refused", { client: "kitchen" });
    await turn();
    assert.deepEqual(written, ["<4>WARN  Client refused client=kitchen\n"]);
  });

  it("writes JSON to standard output when that is asked for", async () => {
    const seen: (LogFields | undefined)[] = [];
    const { log, written } = logTo((_level, _text, fields) => seen.push(fields) > 0, "json");
    log.info("Here");
    await turn();
    assert.equal(written.length, 1);
    assert.deepEqual(seen, []);
  });
});

describe("openJournal()", () => {
  it("is not there without the add-on", () => {
    const missing = openJournal(() => {
      throw new Error("there is no add-on here");
    });
    assert.equal(missing, undefined);
  });
});
