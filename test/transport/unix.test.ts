import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import fs from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { Link } from "../../src/core/ports.ts";
import { SocketFile } from "../../src/transport/socket-file.ts";
import { Turn } from "../../src/transport/turn.ts";
import { UnixListener, type UnixListenerOptions } from "../../src/transport/unix.ts";
import { UNPRIVILEGED } from "../support/unprivileged.ts";
import { Heard, send, until } from "./rig.ts";
import { connectTo } from "./tcp-rig.ts";

const MODULE = new URL("../../src/transport/unix.ts", import.meta.url).href;

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mqtt-unix-"));
  path = join(folder, "mqtt.sock");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("UnixListener", () => {
  const listeners: UnixListener[] = [];
  const servers: Server[] = [];
  const links: Link[] = [];
  const heards: Heard[] = [];
  const clients: Socket[] = [];

  afterEach(async () => {
    for (const link of links.splice(0)) link.destroy();
    for (const client of clients.splice(0)) client.destroy();
    for (const listener of listeners.splice(0)) await listener.close();
    for (const server of servers.splice(0)) server.close();
    heards.length = 0;
  });

  function make(options: Partial<UnixListenerOptions> = {}): UnixListener {
    const listener = new UnixListener({ name: "main", path, turn: new Turn(), ...options });
    listeners.push(listener);
    return listener;
  }

  async function listen(options: Partial<UnixListenerOptions> = {}): Promise<UnixListener> {
    const listener = make(options);
    await listener.listen((link) => {
      links.push(link);
      const heard = new Heard();
      heards.push(heard);
      return heard;
    });
    return listener;
  }

  async function dial(to: string): Promise<Socket> {
    const before = links.length;
    const client = await connectTo({ path: to });
    clients.push(client);
    await until("it was accepted", () => links.length > before);
    return client;
  }

  async function refuses(reason: string | RegExp, options: Partial<UnixListenerOptions> = {}): Promise<void> {
    const listener = make(options);
    const message = typeof reason === "string" ? `Cannot listen on ${listener.url}: ${reason}` : reason;
    await assert.rejects(
      listener.listen(() => new Heard()),
      { message },
    );
  }

  async function serverAt(place: string): Promise<Server> {
    const server = createServer((socket) => socket.destroy()).listen(place);
    await once(server, "listening");
    servers.push(server);
    return server;
  }

  /** A socket file to which nobody listens, as a killed process leaves it. */
  function leaveStale(): void {
    const script = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
    assert.throws(() => execFileSync(process.execPath, ["-e", script]), { signal: "SIGKILL" });
    assert.equal(lstatSync(path).isSocket(), true);
  }

  it("starts a relative path at the working directory", async () => {
    const listener = await listen({ path: relative(process.cwd(), path) });
    assert.equal(listener.url, `unix:${path}`);
    await dial(path);
  });

  it("leaves nothing but the socket in its folder, and nothing when it is closed", async () => {
    const listener = await listen();
    assert.deepEqual(readdirSync(folder), ["mqtt.sock"]);
    assert.equal(lstatSync(path).isSocket(), true);
    await listener.close();
    await listener.close();
    assert.deepEqual(readdirSync(folder), []);
  });

  it("close() leaves links alive, and the place can be taken again", async () => {
    const listener = await listen();
    const client = await dial(path);
    await listener.close();
    send(links[0]!, Buffer.from("still here"));
    assert.equal(String((await once(client, "data"))[0]), "still here");
    await listen();
    await dial(path);
  });

  it("close() during listen() leaves no file", async () => {
    const listener = make();
    const listening = listener.listen(() => new Heard());
    await listener.close();
    await listening;
    assert.deepEqual(readdirSync(folder), []);
    await assert.rejects(connectTo({ path }), { code: "ENOENT" });
  });

  it("lets user and group connect and nobody else, whatever the umask", async () => {
    for (const umask of [0o000, 0o077]) {
      const before = process.umask(umask);
      try {
        const listener = await listen();
        assert.equal(lstatSync(path).mode & 0o7777, 0o660);
        await listener.close();
      } finally {
        process.umask(before);
      }
    }
  });

  it("sets the mode that was given", async () => {
    await listen({ mode: 0o600 });
    assert.equal(lstatSync(path).mode & 0o7777, 0o600);
  });

  it("is bound in a folder closed to others, and in its place only when its rights are set", async () => {
    const server = createServer();
    servers.push(server);
    const file = await SocketFile.make(path, { mode: 0o666 }, async (staged) => {
      assert.equal(dirname(dirname(staged)), folder);
      assert.equal(lstatSync(dirname(staged)).mode & 0o777, 0o700);
      assert.deepEqual(readdirSync(folder), [basename(dirname(staged))]);
      server.listen(staged);
      await once(server, "listening");
    });
    assert.deepEqual(readdirSync(folder), ["mqtt.sock"]);
    await file!.remove();
    assert.deepEqual(readdirSync(folder), []);
  });

  it("does not take the place of a socket that another program makes meanwhile", async () => {
    const server = createServer();
    servers.push(server);
    const making = SocketFile.make(path, {}, async (staged) => {
      server.listen(staged);
      await once(server, "listening");
      await serverAt(path);
    });
    await assert.rejects(making, { message: "another program listens there: stop it, or give another path" });
    assert.deepEqual(readdirSync(folder), ["mqtt.sock"]);
    (await connectTo({ path })).destroy();
  });

  it("gives the file to the user and group that were named, or to their numbers", async () => {
    // Root may give files away; anybody else only to another group that is theirs.
    const groups = execFileSync("id", ["-G"], { encoding: "utf8" }).trim().split(" ");
    const isRoot = process.getuid!() === 0;
    const group = isRoot ? "54321" : groups.at(-1)!;
    const user = isRoot ? 65432 : process.getuid!();
    const name = execFileSync("id", ["-gn"], { encoding: "utf8" }).trim();
    const owner = execFileSync("id", ["-un"], { encoding: "utf8" }).trim();
    const first = await listen({ group, owner: String(user) });
    assert.deepEqual([lstatSync(path).uid, lstatSync(path).gid], [user, Number(group)]);
    await first.close();
    await listen({ group: name, owner });
    assert.deepEqual([lstatSync(path).uid, lstatSync(path).gid], [process.getuid!(), process.getgid!()]);
  });

  it("refuses a user or group that this machine has not, and leaves no file", async () => {
    await refuses('there is no user "no such" in /etc/passwd: add it, or give its number', { owner: "no such" });
    await refuses('there is no group "no:such" in /etc/group: add it, or give its number', { group: "no:such" });
    assert.deepEqual(readdirSync(folder), []);
  });

  it("replaces a socket to which nobody listens any more", async () => {
    leaveStale();
    await listen();
    assert.deepEqual(readdirSync(folder), ["mqtt.sock"]);
    await dial(path);
  });

  it("refuses a socket at which another program listens, which goes on", async () => {
    const server = await serverAt(path);
    const before = lstatSync(path, { bigint: true });
    await refuses("another program listens there: stop it, or give another path");
    assert.equal(lstatSync(path, { bigint: true }).ctimeNs, before.ctimeNs);
    const accepted = once(server, "connection");
    (await connectTo({ path })).destroy();
    await accepted;
    assert.deepEqual(readdirSync(folder), ["mqtt.sock"]);
  });

  it("of several that start at once on a stale socket, one gets it and the others are told", async () => {
    leaveStale();
    const outcomes = await Promise.allSettled([listen(), listen(), listen(), listen()]);
    const reasons = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason.message] : []));
    const inUse = `Cannot listen on unix:${path}: another program listens there: stop it, or give another path`;
    assert.deepEqual(reasons, [inUse, inUse, inUse]);
    await dial(path);
    assert.deepEqual(readdirSync(folder), ["mqtt.sock"]);
  });

  it("gives a socket back that another program makes between the look and the removal", async () => {
    leaveStale();
    const { rename } = fs;
    const restore = () => {
      fs.rename = rename;
      syncBuiltinESMExports();
    };
    fs.rename = async (from, to) => {
      restore();
      rmSync(path);
      await serverAt(path);
      await rename(from, to);
    };
    syncBuiltinESMExports();
    try {
      await refuses("another program listens there: stop it, or give another path");
    } finally {
      restore();
    }
    assert.deepEqual(readdirSync(folder), ["mqtt.sock"]);
    (await connectTo({ path })).destroy();
  });

  for (const [kind, create] of [
    ["a file", () => writeFileSync(path, "precious")],
    ["a folder", () => mkdirSync(path)],
    ["a symbolic link, also one to a socket", () => symlinkSync(join(folder, "elsewhere"), path)],
  ] as const) {
    it(`leaves ${kind} alone`, async () => {
      create();
      await serverAt(join(folder, "elsewhere"));
      const before = lstatSync(path, { bigint: true });
      await refuses("there is a file already, and it is no socket: move it away, or give another path");
      assert.equal(lstatSync(path, { bigint: true }).ctimeNs, before.ctimeNs);
      assert.deepEqual(readdirSync(folder).sort(), ["elsewhere", "mqtt.sock"]);
    });
  }

  it("close() leaves a file alone that another program has put in its place", async () => {
    const listener = await listen();
    rmSync(path);
    const server = await serverAt(path);
    await listener.close();
    const accepted = once(server, "connection");
    (await connectTo({ path })).destroy();
    await accepted;
  });

  it("says that the folder is missing, or is none", async () => {
    const missing = join(folder, "run");
    await refuses(`there is no folder ${missing}: make it, or give another path`, { path: join(missing, "a.sock") });
    writeFileSync(missing, "");
    await refuses(`${missing} is no folder: give another path`, { path: join(missing, "a.sock") });
  });

  it("says that there is no permission in the folder", () => {
    const script =
      `const { UnixListener } = await import(${JSON.stringify(MODULE)});` +
      `new UnixListener({ name: "main", path: ${JSON.stringify(path)} }).listen().catch(({ message }) => console.log(message));`;
    chmodSync(folder, 0o500);
    const [command, ...words] = [...UNPRIVILEGED, process.execPath, "--input-type=module", "-e", script];
    const said = execFileSync(command!, words, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    chmodSync(folder, 0o700);
    assert.equal(said, `Cannot listen on unix:${path}: no permission to make files in ${folder}\n`);
  });

  it("takes a path of 107 bytes and refuses one more, and a folder that leaves no room", async () => {
    const longest = join(folder, "x".repeat(106 - folder.length));
    assert.equal(longest.length, 107);
    await listen({ path: longest });
    await dial(longest);
    await refuses("its path has 108 bytes, and that of a Unix socket has 107 at most", { path: `${longest}x` });
    const umlaut = join(folder, "ä".repeat(80 - folder.length / 2));
    await refuses(/: its path has 1\d\d bytes, and that of a Unix socket has 107 at most$/, { path: umlaut });
    const deep = join(folder, "y".repeat(97 - folder.length), "a");
    mkdirSync(dirname(deep));
    await refuses("the path of its folder has 98 bytes, and that of a Unix socket has 97 at most", { path: deep });
  });

  it("takes a name without a file, which only one program can have", async () => {
    const name = `@mqtt-unix-test-${process.pid}`;
    const listener = await listen({ path: name });
    assert.equal(listener.url, `unix:${name}`);
    await dial(`\0${name.slice(1)}`);
    assert.equal(links[0]!.peer.address, name);
    await refuses("another program listens there: stop it, or give another path", { path: name });
    await listener.close();
    await listen({ path: name });
    await refuses("a name must follow the @", { path: "@" });
  });

  it("passes accept errors on, and keeps accepting", async () => {
    const errors: string[] = [];
    const listener = await listen({ onError: (error) => errors.push(error.message) });
    const { server } = listener as unknown as { server: Server };
    server.emit("error", new Error("accept EMFILE"));
    assert.deepEqual(errors, ["accept EMFILE"]);
    await dial(path);
  });
});
