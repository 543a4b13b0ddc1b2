import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { Writable } from "node:stream";
import { describe, it } from "node:test";
import type { LogLevel } from "../../src/core/ports.ts";
import { chooseFormat, HostLog, type HostLogOptions } from "../../src/os/log.ts";
import { formatLine } from "../../src/os/log-line.ts";

const TIME_MS = Date.UTC(2026, 10, 21, 10, 0, 0, 5);

class FakeClock {
  ms = 1000;

  nowMs(): number {
    return this.ms;
  }

  wallMs(): number {
    return TIME_MS + this.ms - 1000;
  }

  trusted(): boolean {
    return true;
  }
}

class Sink extends Writable {
  readonly writes: string[] = [];

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.writes.push(String(chunk));
    done();
  }

  get lines(): string[] {
    return this.writes.join("").split("\n").slice(0, -1);
  }
}

function makeLog(options: Partial<HostLogOptions> = {}): { log: HostLog; sink: Sink; clock: FakeClock } {
  const sink = new Sink();
  const clock = new FakeClock();
  return { log: new HostLog({ clock, level: "info", format: "text", output: sink, ...options }), sink, clock };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

describe("formatLine()", () => {
  const text = (message: string, fields = {}): string => formatLine("text", TIME_MS, "info", message, fields);

  it("writes text with time, level, message and fields", () => {
    assert.equal(
      formatLine("text", TIME_MS, "warn", "Client refused", {
        client: "a-1",
        address: "[::1]:5",
        known: false,
        tries: 3,
      }),
      "2026-11-21T10:00:00.005Z WARN  Client refused client=a-1 address=[::1]:5 known=false tries=3",
    );
  });

  it("writes JSON with the same facts", () => {
    assert.equal(
      formatLine("json", TIME_MS, "info", 'Say "hi"', { client: "a\n1", known: true, size: 7 }),
      '{"time":"2026-11-21T10:00:00.005Z","level":"info","message":"Say \\"hi\\"","client":"a\\n1","known":true,"size":7}',
    );
  });

  it("writes the level as a priority for the journal, which has the time itself", () => {
    const levels: LogLevel[] = ["error", "warn", "info", "debug", "trace"];
    assert.deepEqual(
      levels.map((level) => formatLine("journal", TIME_MS, level, "Ready", { n: 1 })),
      ["<3>ERROR Ready n=1", "<4>WARN  Ready n=1", "<6>INFO  Ready n=1", "<7>DEBUG Ready n=1", "<7>TRACE Ready n=1"],
    );
  });

  it("leaves out undefined fields", () => {
    const fields = { user: undefined, client: "c" };
    assert.equal(text("Hello", fields), "2026-11-21T10:00:00.005Z INFO  Hello client=c");
    assert.equal(
      formatLine("json", TIME_MS, "info", "Hello", fields),
      '{"time":"2026-11-21T10:00:00.005Z","level":"info","message":"Hello","client":"c"}',
    );
  });

  it("quotes values only where a bare one could be misread", () => {
    const fields = { a: "x/+/#", b: "", c: "two words", d: 'say "x"', e: "k=v", f: "a\\b", g: "grün" };
    assert.equal(text("T", fields).slice(31), 'T a=x/+/# b="" c="two words" d="say \\"x\\"" e="k=v" f="a\\\\b" g=grün');
  });

  it("keeps a client identifier from forging a line, in every format", () => {
    const client = "x\r\n2026-11-21T10:00:00.005Z ERROR All is lost";
    for (const format of ["text", "json", "journal"] as const) {
      const line = formatLine(format, TIME_MS, "info", `From ${client}`, { client });
      assert.equal(/[\r\n]/.test(line), false);
    }
    assert.equal(text("Hello", { client: "a\nb" }).slice(31), 'Hello client="a\\nb"');
  });

  it("shows escape sequences, direction marks and half characters as what they are", () => {
    const fields = { a: "\u001b[31mred", b: "\u202ereversed", c: "\u0085", d: "\u2028", e: "\ud800", f: "\u{e0041}" };
    assert.equal(
      text("T", fields).slice(31),
      'T a="\\u001b[31mred" b="\\u202ereversed" c="\\u0085" d="\\u2028" e="\\ud800" f="\\u{e0041}"',
    );
    assert.equal(text("Bell \u0007").slice(31), "Bell \\u0007");
  });

  it("cuts values that are longer than anybody reads", () => {
    const topic = "t".repeat(65_535);
    assert.equal(text("T", { topic }).slice(31), `T topic=${"t".repeat(4096)}…`);
    assert.equal(JSON.parse(formatLine("json", TIME_MS, "info", "T", { topic })).topic, `${"t".repeat(4096)}…`);
  });

  it("keeps fields from replacing a JSON line's own names", () => {
    const line = formatLine("json", TIME_MS, "info", "Real", { message: "forged", level: "error", time: 1 });
    assert.deepEqual(JSON.parse(line), {
      time: "2026-11-21T10:00:00.005Z",
      level: "info",
      message: "Real",
      message_: "forged",
      level_: "error",
      time_: 1,
    });
  });
});

describe("HostLog with lines for people", () => {
  const below = ["    { usr: 1 }", "      ^"];

  it("writes them below the line, each with time and level, in place of the fields", async () => {
    for (const [format, begin] of [
      ["text", "2026-11-21T10:00:00.005Z WARN  "],
      ["journal", "<4>WARN  "],
    ] as const) {
      const { log, sink } = makeLog({ format });
      log.warn("a.json5:1:3: Unknown key", { source: "{ usr: 1 }", hint: "x" }, below);
      await turn();
      assert.deepEqual(
        sink.lines,
        ["a.json5:1:3: Unknown key", ...below].map((line) => begin + line),
      );
    }
  });

  it("writes one line in JSON, with the fields", async () => {
    const { log, sink } = makeLog({ format: "json" });
    log.error("a.json5:1:3: Unknown key", { source: "{ usr: 1 }", hint: undefined }, below);
    await turn();
    assert.deepEqual(sink.lines, [
      '{"time":"2026-11-21T10:00:00.005Z","level":"error","message":"a.json5:1:3: Unknown key","source":"{ usr: 1 }"}',
    ]);
  });
});

describe("chooseFormat()", () => {
  it("takes text for a terminal, the journal's form for the journal, and JSON for all else", () => {
    assert.equal(chooseFormat("auto", true, false), "text");
    assert.equal(chooseFormat("auto", false, false), "json");
    assert.equal(chooseFormat("auto", false, true), "journal");
    assert.equal(chooseFormat("text", false, false), "text");
    assert.equal(chooseFormat("text", false, true), "journal");
    assert.equal(chooseFormat("json", true, true), "json");
  });
});

describe("HostLog", () => {
  it("writes all lines of a turn at once", async () => {
    const { log, sink } = makeLog();
    log.info("One");
    log.info("Two");
    assert.deepEqual(sink.writes, []);
    await turn();
    assert.equal(sink.writes.length, 1);
    assert.equal(sink.lines.length, 2);
    log.info("Three");
    await turn();
    assert.equal(sink.writes.length, 2);
  });

  it("writes the levels up to the chosen one", async () => {
    const levels: LogLevel[] = ["error", "warn", "info", "debug", "trace"];
    for (const [rank, level] of levels.entries()) {
      const { log, sink } = makeLog({ level });
      for (const each of levels) log[each](`At ${each}`);
      await turn();
      assert.deepEqual(
        sink.lines.map((line) => line.split("At ")[1]),
        levels.slice(0, rank + 1),
      );
      assert.deepEqual(
        levels.map((each) => log.enabled(each)),
        levels.map((_, index) => index <= rank),
      );
    }
  });

  it("changes its level while it runs", async () => {
    const { log, sink } = makeLog({ level: "error" });
    log.info("Before");
    log.setLevel("debug");
    log.debug("After");
    await turn();
    assert.deepEqual(sink.lines, ["2026-11-21T10:00:00.005Z DEBUG After"]);
  });

  it("counts what is more than 100 of the same message in a second, and says so afterwards", async () => {
    const { log, sink, clock } = makeLog();
    for (let index = 0; index < 1334; index++) log.warn("Client refused", { index });
    log.warn("Something else");
    await turn();
    assert.equal(sink.lines.length, 101);
    assert.equal(sink.lines[99], "2026-11-21T10:00:00.005Z WARN  Client refused index=99");
    clock.ms += 1000;
    log.warn("Client refused", { index: -1 });
    await turn();
    assert.deepEqual(sink.lines.slice(101), [
      "2026-11-21T10:00:01.005Z WARN  Client refused … 1234 more of these",
      "2026-11-21T10:00:01.005Z WARN  Client refused index=-1",
    ]);
  });

  it("says what it left out although nothing else is logged", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const { log, sink } = makeLog({ linesPerSecondMax: 2 });
    for (let index = 0; index < 5; index++) log.info("Again");
    await turn();
    assert.equal(sink.lines.length, 2);
    t.mock.timers.tick(1000);
    await turn();
    assert.equal(sink.lines.length, 3);
    assert.match(sink.lines[2]!, /INFO {2}Again … 3 more of these$/);
    t.mock.timers.tick(10_000);
    await turn();
    assert.equal(sink.lines.length, 3);
  });

  it("never leaves out an error, nor a line that was asked for with debug or trace", async () => {
    const { log, sink } = makeLog({ level: "trace", linesPerSecondMax: 1 });
    for (let index = 0; index < 500; index++) {
      log.error("E");
      log.debug("D");
      log.trace("T");
    }
    await turn();
    assert.equal(sink.lines.length, 1500);
  });

  it("leaves out nothing when the limit is 0", async () => {
    const { log, sink } = makeLog({ linesPerSecondMax: 0 });
    for (let index = 0; index < 500; index++) log.info("I");
    await turn();
    assert.equal(sink.lines.length, 500);
  });

  it("hands out what has gathered at the last moment, with the counts, once", async () => {
    const { log, sink } = makeLog({ linesPerSecondMax: 1 });
    log.info("Stopping");
    log.info("Stopping");
    const text = log.takeText();
    assert.equal(
      text,
      "2026-11-21T10:00:00.005Z INFO  Stopping\n2026-11-21T10:00:00.005Z INFO  Stopping … 1 more of these\n",
    );
    assert.equal(log.takeText(), "");
    await turn();
    assert.deepEqual(sink.writes, []);
  });

  it("drops and counts lines that a stuck reader does not take", async () => {
    const taken: string[] = [];
    let release: () => void = () => {};
    const output = new Writable({
      write(chunk, _encoding, done) {
        taken.push(String(chunk));
        release = done;
      },
    });
    const { log } = makeLog({ output, level: "debug" });
    const value = "v".repeat(4000);
    for (let index = 0; index < 3000; index++) {
      log.debug("D", { value });
      if (index % 100 === 0) await turn();
    }
    assert.ok(output.writableLength <= 5 * 1024 * 1024);
    while (output.writableLength > 0) release();
    log.info("Back");
    await turn();
    while (output.writableLength > 0) release();
    const lines = taken.join("").split("\n").slice(0, -1);
    const lost = Number(/lines=(\d+)$/.exec(lines.at(-2)!)?.[1]);
    assert.match(lines.at(-2)!, /WARN {2}Log lines were lost, their reader is too slow lines=\d+$/);
    assert.match(lines.at(-1)!, /INFO {2}Back$/);
    assert.equal(lines.length - 2 + lost, 3000);
  });

  it("survives that its reader goes away", async () => {
    const output = new Writable({
      write(_chunk, _encoding, done) {
        done(Object.assign(new Error("write EPIPE"), { code: "EPIPE" }));
      },
    });
    const { log } = makeLog({ output });
    log.info("One");
    await turn();
    log.info("Two");
    await turn();
    assert.equal(output.destroyed, true);
  });
});

describe("openLog()", () => {
  const script = (rest: string): string => `
    const { HostClock } = await import(${JSON.stringify(new URL("../../src/os/clock.ts", import.meta.url).href)});
    const { openLog } = await import(${JSON.stringify(new URL("../../src/os/log.ts", import.meta.url).href)});
    const log = openLog({ clock: new HostClock(), level: "info", format: "auto" });
    ${rest}`;

  async function run(source: string, close = false): Promise<{ output: string; code: number | null }> {
    const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", source], {
      stdio: ["ignore", "pipe", "inherit"],
      cwd: `${import.meta.dirname}/../..`,
    });
    let output = "";
    child.stdout.on("data", (chunk) => {
      output += chunk;
      if (close) child.stdout.destroy();
    });
    const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
    return { output, code };
  }

  it("writes what has gathered when the process exits at once", async () => {
    const { output, code } = await run(script('log.info("Last", { n: 1 }); process.exit(3);'));
    assert.equal(code, 3);
    const { time, ...rest } = JSON.parse(output);
    assert.match(time, /^\d{4}-\d\d-\d\dT/);
    assert.deepEqual(rest, { level: "info", message: "Last", n: 1 });
  });

  it("goes on after its reader closed the pipe", async () => {
    const source = `let n = 0;
      const timer = setInterval(() => {
        log.info("Line " + n++);
        if (n === 30) { clearInterval(timer); process.exitCode = 7; }
      }, 5);`;
    const { output, code } = await run(script(source), true);
    assert.match(output, /"message":"Line 0"/);
    assert.equal(code, 7);
  });
});
