import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { Busy, HashQueue } from "../../../src/auth/login/hash-queue.ts";
import type { Secret } from "../../../src/auth/reading/read-auth.ts";

const HASH = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
const SLOW: Secret = { method: "argon2id", hash: HASH };

/** A queue whose hashes are computed when the test says so; the password "right" is right. */
function bench(given: { workersMax?: number; waitingMax?: number; rememberedMax?: number } = {}) {
  const started: string[] = [];
  const open: ((error?: Error) => void)[] = [];
  const check = (_: Secret, password: Uint8Array): Promise<boolean> => {
    const text = Buffer.from(password).toString();
    started.push(text);
    return new Promise((resolve, reject) => {
      open.push((error) => (error === undefined ? resolve(text.startsWith("right")) : reject(error)));
    });
  };
  const queue = new HashQueue({ ...given, check });
  const verify = (password: string, address = "a", user = "kim", secret = SLOW) =>
    queue.verify(address, user, secret, Buffer.from(password));
  /** Ends the oldest of the hashes that are under way. */
  const finish = async (error?: Error): Promise<void> => {
    open.shift()!(error);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { queue, verify, finish, started };
}

function reasonOf(answer: unknown): string {
  assert.ok(answer instanceof Busy);
  return answer.reason;
}

test("so many hashes at a time, and the next one when one of them is done", async () => {
  const { queue, verify, finish, started } = bench({ workersMax: 2 });
  const answers = ["right", "wrong", "wrong 2", "right 2"].map((password) => verify(password));
  assert.deepEqual(started, ["right", "wrong"]);
  assert.equal(queue.waiting, 2);
  await finish();
  assert.deepEqual(started, ["right", "wrong", "wrong 2"]);
  assert.equal(queue.waiting, 1);
  for (let count = 0; count < 3; count++) await finish();
  assert.equal(queue.waiting, 0);
  assert.deepEqual(await Promise.all(answers), [true, false, false, true]);
});

test("two workers, when nobody says how many", () => {
  const { verify, started } = bench();
  for (const password of ["1", "2", "3"]) void verify(password);
  assert.deepEqual(started, ["1", "2"]);
});

test("addresses take turns, however many of one address wait", async () => {
  const { verify, finish, started } = bench({ workersMax: 1, waitingMax: 40 });
  for (const password of ["a1", "a2", "a3"]) void verify(password, "a");
  for (const password of ["b1", "b2"]) void verify(password, "b");
  void verify("c1", "c");
  for (let count = 0; count < 5; count++) await finish();
  assert.deepEqual(started, ["a1", "a2", "b1", "c1", "a3", "b2"]);
});

test("one address has a quarter of the line at most", () => {
  const { queue, verify } = bench({ workersMax: 1, waitingMax: 11 });
  void verify("under way", "a");
  void verify("1", "a");
  void verify("2", "a");
  assert.equal(reasonOf(verify("3", "a")), "2 logins from this address are waiting already");
  assert.ok(verify("4", "b") instanceof Promise);
  assert.equal(queue.waiting, 3);
});

test("the line has an end", () => {
  const { queue, verify } = bench({ workersMax: 1, waitingMax: 8 });
  void verify("under way", "z");
  for (const address of ["a", "b", "c", "d"])
    for (const password of ["1", "2"]) void verify(address + password, address);
  assert.equal(queue.waiting, 8);
  assert.equal(reasonOf(verify("e1", "e")), "8 logins are waiting already");
});

test("what is quick waits for nobody", () => {
  const { verify } = bench({ workersMax: 1, waitingMax: 1 });
  for (const password of ["1", "2"]) void verify(password);
  const plain: Secret = { method: "plain_password", password: "x" };
  assert.equal(new HashQueue().verify("a", "kim", plain, Buffer.from("x")), true);
  assert.equal(new HashQueue().verify("a", "kim", plain, Buffer.from("y")), false);
});

suite("what was right before", () => {
  test("is answered at once", async () => {
    const { verify, finish, started } = bench();
    const first = verify("right");
    await finish();
    assert.equal(await first, true);
    assert.equal(verify("right", "elsewhere"), true);
    assert.deepEqual(started, ["right"]);
  });

  test("is not so with another password, user or secret", async () => {
    const { verify, finish, started } = bench({ workersMax: 8 });
    void verify("right");
    await finish();
    void verify("right 2");
    void verify("right", "a", "kin");
    void verify("right", "a", "kim", { method: "argon2id", hash: HASH.replace("t=2", "t=3") });
    assert.deepEqual(started, ["right", "right 2", "right", "right"]);
  });

  test("is not so for a name that makes the same text of all three", async () => {
    const { verify, finish, started } = bench({ workersMax: 8 });
    const secret = JSON.stringify(SLOW);
    void verify(`right${secret}x`, "a", "kim");
    await finish();
    assert.ok(verify("x", "a", `kim${secret}right`) instanceof Promise);
    assert.deepEqual(started, [`right${secret}x`, "x"]);
  });

  test("is not remembered when it was wrong", async () => {
    const { verify, finish, started } = bench();
    for (let count = 0; count < 2; count++) {
      const answer = verify("wrong");
      await finish();
      assert.equal(await answer, false);
    }
    assert.deepEqual(started, ["wrong", "wrong"]);
  });

  test("is forgotten when there is no room, what was not used for longest first", async () => {
    const { verify, finish, started } = bench({ rememberedMax: 2 });
    for (const password of ["right 1", "right 2"]) {
      void verify(password);
      await finish();
    }
    assert.equal(verify("right 1"), true);
    void verify("right 3");
    await finish();
    assert.equal(verify("right 1"), true);
    assert.ok(verify("right 2") instanceof Promise);
    assert.deepEqual(started, ["right 1", "right 2", "right 3", "right 2"]);
  });
});

test("a thousand clients with one password cost one hash", async () => {
  const { queue, verify, finish, started } = bench({ workersMax: 1, waitingMax: 4 });
  const answers = Array.from({ length: 1000 }, () => verify("right"));
  assert.equal(queue.waiting, 0);
  await finish();
  assert.deepEqual(new Set(await Promise.all(answers)), new Set([true]));
  assert.deepEqual(started, ["right"]);
});

test("a hash that cannot be computed refuses that client, and the line goes on", async () => {
  const { verify, finish } = bench({ workersMax: 1 });
  const answers = [verify("right"), verify("right 2")];
  await finish(new Error("no memory"));
  await finish();
  assert.equal(reasonOf(await answers[0]), "it could not be checked: no memory");
  assert.equal(await answers[1], true);
  // It may be right all the same.
  assert.ok(verify("right") instanceof Promise);
});

test("other work takes its turn in the same line", async () => {
  const { queue, verify, finish } = bench({ workersMax: 1, waitingMax: 4 });
  void verify("under way");
  let ran = false;
  const answer = queue.run("b", async () => {
    ran = true;
    return "done";
  });
  assert.ok(answer instanceof Promise);
  assert.equal(ran, false);
  await finish();
  assert.equal(await answer, "done");
  assert.equal(reasonOf(await queue.run("b", () => Promise.reject(new Error("odd")))), "it could not be checked: odd");
});

test("real hashes are computed beside the event loop", async () => {
  const queue = new HashQueue();
  const hash = HASH.replace("m=256", "m=19456");
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  assert.equal(await queue.verify("a", "kim", { method: "argon2id", hash }, Buffer.from("x")), false);
  clearInterval(timer);
  assert.ok(turns > 0, "the event loop stood still while a hash was computed");
});
