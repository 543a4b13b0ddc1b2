import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, type TestContext, test } from "node:test";
import type { Place } from "../../src/certs/machine.ts";
import { Reissue } from "../../src/certs/reissue.ts";
import { certs } from "../cli/certs-kit.ts";
import { BOX, folderWith, openssl } from "./certs-kit.ts";

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;
const NEW = "192.0.2.99";

/** Made once; tests change copies. */
let made: string;
before(async () => {
  made = folderWith({ after: (action) => void process.once("exit", action) }, {});
  assert.equal((await certs(made, ["init", "--name", "broker.example.org"])).code, 0);
});

/** A folder of certificates, the machine that they are on, and what is told of it. */
class Bench {
  readonly folder: string;
  readonly lines: string[] = [];
  place: Place = BOX;
  nowMs = BOX.nowMs;
  passedMs = 0;
  watched: readonly string[] | undefined;
  changed: () => void = () => {};
  readonly reissue: Reissue;

  constructor(context: TestContext, from = made) {
    const root = folderWith(context, {});
    cpSync(from, root, { recursive: true });
    this.folder = join(root, "certs");
    this.reissue = new Reissue({
      log: {
        info: (message) => void this.lines.push(message.replaceAll(this.folder, "certs")),
        warn: (message) => void this.lines.push(`! ${message.replaceAll(this.folder, "certs")}`),
      },
      nowMs: () => this.nowMs,
      monotonicMs: () => this.passedMs,
      place: () => this.place,
      watch: (paths, changed) => {
        this.watched = paths;
        this.changed = changed;
        const close = (): void => {
          this.watched = undefined;
        };
        return { close };
      },
    });
    context.after(() => this.reissue.stop());
    void this.reissue.follow([this.files()]);
  }

  files(cert = "server.crt", key = "server.key"): { cert: string; key: string } {
    return { cert: join(this.folder, cert), key: join(this.folder, key) };
  }

  text(name: string): string {
    return readFileSync(join(this.folder, name), "utf8");
  }

  certificate(): X509Certificate {
    return new X509Certificate(this.text("server.crt"));
  }

  /** One more address. */
  move(address = NEW): void {
    this.place = { ...this.place, addresses: [...this.place.addresses, address] };
  }

  /** Until no look is under way. */
  settled(): Promise<void> {
    return (this.reissue as unknown as { looking: Promise<void> }).looking;
  }

  /** Looks, and tells what was logged meanwhile. */
  async look(): Promise<string[]> {
    const from = this.lines.length;
    await this.reissue.look();
    return this.lines.slice(from);
  }
}

function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

test("a certificate that has all names and time left is not touched, and nothing is said", async (context) => {
  const bench = new Bench(context);
  const text = bench.text("server.crt");
  assert.deepEqual(await bench.look(), []);
  assert.equal(bench.text("server.crt"), text);
});

test("a new address is added to the names that were there, with the same key, and openssl verifies it", async (context) => {
  const bench = new Bench(context);
  const key = bench.text("server.key");
  bench.move();
  bench.move("2001:db8::99%eth0");
  const until = day(BOX.nowMs + 825 * DAY_MS);
  assert.deepEqual(await bench.look(), [
    `Made certs/server.crt anew: +${NEW} +2001:db8::99; it is good until ${until}`,
  ]);
  assert.equal(bench.text("server.key"), key);
  const names = ["broker.example.org", "box.local", "localhost"];
  for (const name of names) assert.equal(bench.certificate().checkHost(name), name);
  for (const address of ["192.0.2.7", NEW, "2001:db8::99", "127.0.0.1"]) {
    const words = ["verify", "-x509_strict", "-CAfile", "ca.crt", "-purpose", "sslserver", "-verify_ip", address];
    assert.equal(openssl(bench.folder, ...words, "server.crt").text, "server.crt: OK\n", address);
  }
  assert.equal(bench.text("server.crt").match(/BEGIN CERTIFICATE/g)?.length, 2, "the authority's follows");
});

test("addresses that come and go are written once", async (context) => {
  const bench = new Bench(context);
  bench.move();
  assert.equal((await bench.look()).length, 1);
  const text = bench.text("server.crt");
  for (let round = 0; round < 3; round++) {
    for (const place of [BOX, { ...BOX, addresses: [...BOX.addresses, NEW] }, { ...BOX, addresses: [] }]) {
      bench.place = place;
      bench.passedMs += 60 * MINUTE_MS;
      assert.deepEqual(await bench.look(), []);
    }
  }
  assert.equal(bench.text("server.crt"), text);
});

test("what is not an address waits until ten minutes after the last writing", async (context) => {
  const bench = new Bench(context);
  bench.move();
  assert.equal((await bench.look()).length, 1);
  bench.place = { ...bench.place, hostName: "chest" };
  bench.passedMs += 10 * MINUTE_MS - 1;
  assert.deepEqual(await bench.look(), []);
  bench.passedMs += 1;
  assert.match((await bench.look()).join(), /anew: \+chest \+chest\.local; /);
  bench.place = { ...bench.place, hostName: "trunk" };
  assert.deepEqual(await bench.look(), []);
  bench.move("192.0.2.100");
  assert.match((await bench.look()).join(), /anew: \+trunk \+trunk\.local \+192\.0\.2\.100; /);
});

test("thirty days before its end a certificate is made anew, for as long as before", async (context) => {
  const bench = new Bench(context);
  const endMs = Date.parse(bench.certificate().validTo);
  bench.nowMs = endMs - 30 * DAY_MS;
  assert.deepEqual(await bench.look(), []);
  bench.nowMs += 1000;
  const until = day(bench.nowMs + 825 * DAY_MS);
  assert.deepEqual(await bench.look(), [
    `Made certs/server.crt anew: it would have ended on ${day(endMs)}; it is good until ${until}`,
  ]);
  assert.deepEqual(await bench.look(), []);
});

test("one that lasts for less than three months is made anew in its last third", async (context) => {
  const bench = new Bench(context);
  const root = join(bench.folder, "..");
  assert.equal((await certs(root, ["init", "--force", "--days", "12"])).code, 0);
  bench.nowMs += 7 * DAY_MS;
  assert.deepEqual(await bench.look(), []);
  bench.nowMs += DAY_MS + 3_600_000;
  assert.match((await bench.look()).join(), /anew: it would have ended on /);
});

test("one that ends with its authority is not made anew again and again", async (context) => {
  const bench = new Bench(context);
  const root = join(bench.folder, "..");
  assert.equal((await certs(root, ["init", "--force", "--ca-days", "20", "--days", "20"])).code, 0);
  const text = bench.text("server.crt");
  bench.nowMs += 19 * DAY_MS;
  assert.deepEqual(await bench.look(), []);
  assert.equal(bench.text("server.crt"), text);
});

test("a certificate of another authority is left alone, which is said once", async (context) => {
  const bench = new Bench(context);
  const foreign = folderWith(context, {});
  await certs(foreign, ["init"]);
  cpSync(join(foreign, "certs/server.crt"), join(bench.folder, "server.crt"));
  cpSync(join(foreign, "certs/server.key"), join(bench.folder, "server.key"));
  const text = bench.text("server.crt");
  bench.move();
  assert.deepEqual(await bench.look(), [
    "! certs/server.crt is not made anew by itself: another authority than certs/ca.crt has signed it",
  ]);
  assert.deepEqual(await bench.look(), []);
  assert.equal(bench.text("server.crt"), text);
});

test("files of other names, or without the authority's certificate, are left alone", async (context) => {
  const bench = new Bench(context);
  const reason = "it is none that mqtt-broker certs init has made, with server.key and ca.crt beside it";
  bench.move();
  for (const name of ["crt", "key"]) cpSync(join(bench.folder, `server.${name}`), join(bench.folder, `own.${name}`));
  await bench.reissue.follow([bench.files("own.crt", "own.key"), bench.files("server.crt", "own.key")]);
  const own = ["own", "server"].map((name) => `! certs/${name}.crt is not made anew by itself: ${reason}`);
  const before = bench.text("server.crt");
  assert.deepEqual(await bench.look(), own);
  await bench.reissue.follow([bench.files()]);
  rmSync(join(bench.folder, "ca.crt"));
  assert.deepEqual(await bench.look(), [], "said already");
  assert.equal(bench.text("server.crt"), before);
});

test("without the authority's key that is said once, and it goes on when the key is back", async (context) => {
  const bench = new Bench(context);
  const key = join(bench.folder, "ca.key");
  renameSync(key, `${key}.away`);
  assert.deepEqual(await bench.look(), [
    "! certs/server.crt is not made anew by itself: There is no certs/ca.key: put back the copy that you have of it",
  ]);
  bench.move();
  assert.deepEqual(await bench.look(), []);
  renameSync(`${key}.away`, key);
  assert.match((await bench.look()).join(), /anew: \+192\.0\.2\.99; /);
  rmSync(key);
  assert.match((await bench.look()).join(), /^! .* There is no certs\/ca\.key: /);
});

test("with a clock at 1970 it is dated from the beginning of the one before", async (context) => {
  const bench = new Bench(context);
  const began = bench.certificate().validFrom;
  bench.nowMs = 5_000;
  bench.move();
  assert.match((await bench.look()).join(), /anew: \+192\.0\.2\.99; /);
  assert.equal(bench.certificate().validFrom, began);
  assert.ok(Date.parse(bench.certificate().validTo) > BOX.nowMs + 824 * DAY_MS);
});

test("where no time is known at all nothing is made, which is said once", async (context) => {
  const bench = new Bench(context);
  const root = join(bench.folder, "..");
  const machine = { ...BOX, nowMs: 3_600_000 };
  assert.equal((await certs(root, ["init", "--force"], { machine })).code, 0);
  bench.nowMs = 10_000_000;
  bench.move();
  assert.deepEqual(await bench.look(), [
    "! certs/server.crt is not made anew by itself: the clock of this machine is not set, and what is made now will have expired when it is",
  ]);
  assert.deepEqual(await bench.look(), []);
  bench.nowMs = machine.nowMs + 5 * DAY_MS;
  assert.deepEqual(await bench.look(), []);
});

test("a folder that cannot be written is named once, and tried again", async (context) => {
  const bench = new Bench(context);
  const part = join(bench.folder, `.server.crt.${process.pid}.part`);
  mkdirSync(part);
  writeFileSync(join(part, "x"), "");
  bench.move();
  const [warning] = await bench.look();
  assert.match(warning!, /^! certs\/server\.crt is not made anew by itself: Cannot write certs\/server\.crt: /);
  assert.match(warning!, /; give the user of the broker the right, or have mqtt-broker certs renew .* in a timer$/);
  assert.deepEqual(await bench.look(), []);
  rmSync(part, { recursive: true });
  assert.match((await bench.look()).join(), /anew: \+192\.0\.2\.99; /);
});

test("it looks before the broker listens, and at a new address when two polls have seen it", async (context) => {
  context.mock.timers.enable({ apis: ["setInterval"] });
  const bench = new Bench(context);
  bench.move();
  await bench.reissue.start();
  assert.match(bench.lines.join(), /anew: \+192\.0\.2\.99; /);
  const watched = ["server.crt", "ca.crt", "ca.key"].map((name) => join(bench.folder, name));
  assert.deepEqual(bench.watched, watched);
  const poll = async (): Promise<string[]> => {
    const from = bench.lines.length;
    bench.passedMs += 2_000;
    context.mock.timers.tick(2_000);
    await bench.settled();
    return bench.lines.slice(from);
  };
  const place = bench.place;
  bench.move("192.0.2.100");
  assert.deepEqual(await poll(), []);
  bench.place = place;
  assert.deepEqual(await poll(), [], "gone again");
  bench.move("192.0.2.101");
  assert.deepEqual(await poll(), []);
  bench.move("192.0.2.102");
  assert.deepEqual(await poll(), [], "the next one came meanwhile");
  assert.match((await poll()).join(), /anew: \+192\.0\.2\.101 \+192\.0\.2\.102; /);
  assert.deepEqual(await poll(), []);
});

test("it looks once a minute and when a file changes, until it is stopped", async (context) => {
  context.mock.timers.enable({ apis: ["setInterval"] });
  const bench = new Bench(context);
  await bench.reissue.start();
  bench.nowMs = Date.parse(bench.certificate().validTo) - DAY_MS;
  bench.passedMs = MINUTE_MS - 1;
  context.mock.timers.tick(2_000);
  await bench.settled();
  assert.deepEqual(bench.lines, []);
  bench.passedMs = MINUTE_MS;
  context.mock.timers.tick(2_000);
  await bench.reissue.stop();
  assert.match(bench.lines.join(), /anew: it would have ended on /);
  bench.passedMs += 60 * MINUTE_MS;
  bench.nowMs += 900 * DAY_MS;
  context.mock.timers.tick(120_000);
  await bench.settled();
  assert.equal(bench.lines.length, 1);
  assert.equal(bench.watched, undefined);
  await bench.reissue.start();
  assert.equal(bench.lines.length, 2);
  cpSync(join(made, "certs/server.crt"), join(bench.folder, "server.crt"));
  bench.passedMs += 60 * MINUTE_MS;
  bench.changed();
  await bench.reissue.stop();
  assert.equal(bench.lines.length, 3);
});

test("a system that does not tell its addresses stops nothing, and is named", async (context) => {
  context.mock.timers.enable({ apis: ["setInterval"] });
  const bench = new Bench(context);
  Object.defineProperty(bench, "place", {
    get: () => {
      throw new Error("uv_interface_addresses returned EACCES");
    },
  });
  await bench.reissue.start();
  context.mock.timers.tick(6_000);
  await bench.settled();
  assert.deepEqual(bench.lines, [
    "! certs/server.crt is not made anew by itself: uv_interface_addresses returned EACCES",
  ]);
});

test("without certificates nothing is watched", async (context) => {
  const bench = new Bench(context);
  await bench.reissue.follow([]);
  await bench.reissue.start();
  assert.equal(bench.watched, undefined);
});
