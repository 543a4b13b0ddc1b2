import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { describe, it } from "node:test";
import { holdHangup, watchSignals } from "../../src/os/signals.ts";

class FakeProcess extends EventEmitter {
  readonly exits: number[] = [];

  exit(code: number): void {
    this.exits.push(code);
  }

  send(signal: NodeJS.Signals): void {
    this.emit(signal, signal);
  }
}

function setUp() {
  const source = new FakeProcess();
  const heard: string[] = [];
  const unwatch = watchSignals({ stop: (signal) => heard.push(signal), reload: () => heard.push("reload") }, source);
  return { source, heard, unwatch };
}

describe("watchSignals()", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it(`stops on ${signal}, once`, () => {
      const { source, heard } = setUp();
      source.send(signal);
      assert.deepEqual(heard, [signal]);
      assert.deepEqual(source.exits, []);
    });
  }

  it("exits at once with 128 and the number on a second signal, whichever came first", () => {
    const { source, heard } = setUp();
    source.send("SIGTERM");
    source.send("SIGINT");
    source.send("SIGTERM");
    assert.deepEqual(heard, ["SIGTERM"]);
    assert.deepEqual(source.exits, [130, 143]);
  });

  it("reloads on each SIGHUP, but not while stopping", () => {
    const { source, heard } = setUp();
    source.send("SIGHUP");
    source.send("SIGHUP");
    source.send("SIGINT");
    source.send("SIGHUP");
    assert.deepEqual(heard, ["reload", "reload", "SIGINT"]);
  });

  it("leaves no listener behind", () => {
    const { source, unwatch } = setUp();
    assert.deepEqual(source.eventNames(), ["SIGTERM", "SIGINT", "SIGHUP"]);
    unwatch();
    assert.deepEqual(source.eventNames(), []);
  });
});

describe("holdHangup()", () => {
  it("tells whether a SIGHUP came, and leaves no listener behind", () => {
    const { source, unwatch } = setUp();
    unwatch();
    assert.equal(holdHangup(source)(), false);
    const wasHungUp = holdHangup(source);
    source.send("SIGHUP");
    assert.equal(wasHungUp(), true);
    assert.deepEqual(source.eventNames(), []);
  });
});
