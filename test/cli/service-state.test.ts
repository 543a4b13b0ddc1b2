import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { type ServiceFigures, ServiceState, statusOf } from "../../src/cli/service-state.ts";
import { Notifier } from "../../src/os/notify.ts";
import { type Problem, placelessProblem } from "../../src/text/problem.ts";

/** One whose messages are kept, and whose time is the test's. */
function make(t: TestContext, watchdogMs?: number) {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const told: string[] = [];
  let blocked: Promise<"done"> | undefined;
  const notifier = new Notifier((assignments) => {
    if (blocked !== undefined) return blocked;
    told.push(assignments.join(" ").replace(/MONOTONIC_USEC=\d+/, "MONOTONIC_USEC=now"));
    return "done";
  });
  const now = {
    clients: 0,
    urls: ["tcp://[::]:1883"],
    unkept: undefined as string | undefined,
    problems: [] as Problem[],
  };
  const figures: ServiceFigures = {
    clients: () => now.clients,
    urls: () => now.urls,
    unkept: () => now.unkept,
    problems: () => now.problems,
  };
  const take = (): string[] => told.splice(0);
  /** Nothing is taken until what is returned is called. */
  const block = (): (() => Promise<void>) => {
    const { promise, resolve } = Promise.withResolvers<"done">();
    blocked = promise;
    return async () => {
      blocked = undefined;
      resolve("done");
      await promise;
    };
  };
  const tick = (ms: number): void => t.mock.timers.tick(ms);
  return { service: new ServiceState({ notifier, watchdogMs }), now, figures, take, block, tick };
}

/** A reload that lasts until it is told to end. */
function pending(): { work: () => Promise<void>; end: (error?: Error) => void } {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  return { work: () => promise, end: (error) => (error === undefined ? resolve() : reject(error)) };
}

describe("ServiceState of a broker that does not start", () => {
  it("says why on one line, and asks for no more time", (t) => {
    const { service, take, tick } = make(t);
    service.starting();
    service.failed("Cannot listen on tcp://[::]:1883:\nthe port is taken");
    assert.deepEqual(take(), ["STATUS=Not started: Cannot listen on tcp://[::]:1883: the port is taken"]);
    tick(60_000);
    assert.deepEqual(take(), []);
  });

  it("names the first error of the configuration with its place", (t) => {
    const { service, take } = make(t);
    const problem = {
      severity: "error",
      file: "/etc/b.json5",
      line: 1,
      column: 3,
      message: 'Unknown key "x"',
    } as const;
    service.refused([placelessProblem("warning", "Strange"), problem, placelessProblem("error", "Another")]);
    assert.deepEqual(take(), ['STATUS=Not started: /etc/b.json5:1:3: Unknown key "x"']);
    service.refused([placelessProblem("warning", "Strange")]);
    assert.deepEqual(take(), []);
  });
});

describe("ServiceState while the broker starts", () => {
  it("says nothing of a start that is soon over, and that it is ready once", (t) => {
    const { service, figures, take, tick } = make(t);
    service.starting();
    tick(9_999);
    assert.deepEqual(take(), []);
    service.ready(figures);
    service.ready(figures);
    assert.deepEqual(take(), ["READY=1 STATUS=0 clients on tcp://[::]:1883"]);
    tick(60_000);
    assert.deepEqual(take(), []);
  });

  it("asks for 30 seconds more every 10, for half an hour", (t) => {
    const { service, take, tick } = make(t);
    service.starting();
    tick(20_000);
    const status = (seconds: number): string =>
      `EXTEND_TIMEOUT_USEC=30000000 STATUS=Starting for ${seconds} seconds: what the store has kept is being restored`;
    assert.deepEqual(take(), [status(10), status(20)]);
    tick(24 * 3_600_000);
    assert.equal(take().at(-1), status(1800));
  });

  it("does not claim to be ready because a signal has files read again", async (t) => {
    const { service, take } = make(t);
    let done = 0;
    await service.reloading(async () => {
      done++;
    });
    assert.equal(done, 1);
    assert.deepEqual(take(), []);
  });
});

describe("ServiceState of a broker that runs", () => {
  it("pings at half of the watchdog's interval, and not without one", (t) => {
    const { service, figures, take, tick } = make(t, 2_000);
    service.ready(figures);
    take();
    tick(999);
    assert.deepEqual(take(), []);
    tick(2_001);
    assert.deepEqual(take(), ["WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"]);
    service.stopping();
    assert.deepEqual(take(), ["STOPPING=1 STATUS=Stopping"]);
    tick(1_000);
    assert.deepEqual(take(), ["WATCHDOG=1"]);
  });

  it("tells a new status line at most every 3 seconds, and only when it has changed", (t) => {
    const { service, now, figures, take, tick } = make(t);
    service.ready(figures);
    take();
    now.clients = 1;
    tick(2_999);
    assert.deepEqual(take(), []);
    now.clients = 2;
    tick(1);
    assert.deepEqual(take(), ["STATUS=2 clients on tcp://[::]:1883"]);
    tick(30_000);
    assert.deepEqual(take(), []);
  });

  it("says when it begins to read files again and when it has done so, with the result", async (t) => {
    const { service, now, figures, take, tick } = make(t);
    service.ready(figures);
    take();
    const first = pending();
    const second = pending();
    const both = [service.reloading(first.work), service.reloading(second.work)];
    const begun = "RELOADING=1 MONOTONIC_USEC=now STATUS=Reading configuration, users and certificates again";
    assert.deepEqual(take(), [begun]);
    now.clients = 3;
    tick(6_000);
    assert.deepEqual(take(), []);
    now.problems = [{ severity: "error", file: "auth.json5", line: 3, column: 5, message: "Unknown key" }];
    first.end();
    await both[0];
    assert.deepEqual(take(), []);
    second.end();
    await both[1];
    assert.deepEqual(take(), [
      "READY=1 STATUS=Not in force: auth.json5:3:5: Unknown key; 3 clients on tcp://[::]:1883",
    ]);
  });

  it("is ready again when reading fails, and not any more when it stops meanwhile", async (t) => {
    const { service, figures, take } = make(t);
    service.ready(figures);
    const failing = pending();
    const failed = assert.rejects(service.reloading(failing.work), /gone wrong/);
    take();
    failing.end(new Error("gone wrong"));
    await failed;
    assert.deepEqual(take(), ["READY=1 STATUS=0 clients on tcp://[::]:1883"]);
    const late = pending();
    const reloading = service.reloading(late.work);
    service.stopping();
    take();
    late.end();
    await reloading;
    assert.deepEqual(take(), []);
  });

  it("gathers no pings and status lines while nobody takes them", async (t) => {
    const { service, now, figures, take, block, tick } = make(t, 1_000);
    service.ready(figures);
    take();
    const release = block();
    tick(500);
    now.clients = 9;
    tick(60_000);
    service.stopping();
    await release();
    // One ping of all, since leaving out each would have the watchdog bark.
    assert.deepEqual(take(), ["WATCHDOG=1", "STOPPING=1 STATUS=Stopping"]);
    tick(500);
    assert.deepEqual(take(), ["WATCHDOG=1"]);
  });
});

describe("statusOf()", () => {
  const status = (clients: number, urls: string[], problems: Problem[] = [], unkept?: string): string =>
    statusOf({ clients: () => clients, urls: () => urls, unkept: () => unkept, problems: () => problems });

  it("counts clients, and listeners when they are many", () => {
    assert.equal(status(1, ["tcp://[::]:1883"]), "1 client on tcp://[::]:1883");
    assert.equal(status(0, ["tcp://[::]:1883", "unix:/run/m"]), "0 clients on tcp://[::]:1883, unix:/run/m");
    assert.equal(status(2, new Array<string>(7).fill("tcp://[::]:1")), "2 clients on 7 listeners");
  });

  it("says first that nothing is kept, and why", () => {
    assert.equal(
      status(0, ["fd:3"], [placelessProblem("error", "Wrong")], "Cannot read a.db: EACCES"),
      "Nothing is kept: Cannot read a.db: EACCES; Not in force: Wrong; 0 clients on fd:3",
    );
  });

  it("names the first error only, no warning, and is one line", () => {
    const problems = [
      placelessProblem("warning", "Odd"),
      placelessProblem("error", "Two\nREADY=1"),
      placelessProblem("error", "Three"),
    ];
    assert.equal(status(0, ["fd:3"], problems), "Not in force: Two READY=1; 0 clients on fd:3");
  });
});
