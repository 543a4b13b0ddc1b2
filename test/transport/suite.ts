import assert from "node:assert/strict";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { afterEach, beforeEach, describe, it } from "node:test";
import { TLSSocket } from "node:tls";
import type { Link, Listener, Peer } from "../../src/core/ports.ts";
import type { Turn } from "../../src/transport/turn.ts";
import { linkSuite } from "./link-suite.ts";
import { Heard, pattern, readBytes, send, turns, until } from "./rig.ts";
import { listenerRig } from "./tcp-rig.ts";

/** A listener that was made and does not listen yet, with all that a test has to know of it. */
export interface Opened {
  listener: Listener;
  turn: Turn;
  /** Connects a raw client that may half-close; rejects where nobody listens. */
  dial(): Promise<Duplex>;
  /** What `url` is once it listens. */
  url: RegExp | string;
  /** Who the broker takes the client for. */
  peer(client: Duplex): Peer;
  /** Another listener for the same place while the first has it, and the message of its refusal. */
  rival?(): { listener: Listener; message: string };
  /** Takes away what was made beside the listener. */
  close?(): Promise<void>;
}

/** More than a loopback connection's two kernel buffers hold. */
const MORE_THAN_KERNEL = 24 * 1024 * 1024;
const LARGE = pattern(10_000_000);
const CLIENTS = 20;

/** What every listener and its links do, whatever they run on. `open` is called for each test. */
export function listenerSuite(title: string, open: () => Promise<Opened>): void {
  linkSuite(title, async () => {
    const opened = await open();
    const rig = await listenerRig(opened.listener, opened.turn, opened.dial);
    return { ...rig, close: () => rig.close().then(opened.close) };
  });

  describe(`listener over ${title}`, () => {
    let door: Door;
    const doors: Door[] = [];
    beforeEach(async () => {
      door = await openDoor();
    });
    afterEach(async () => {
      for (const one of doors.splice(0)) await one.shut();
    });

    async function openDoor(): Promise<Door> {
      const opened = new Door(await open());
      doors.push(opened);
      await opened.opened.listener.listen(opened.accept);
      return opened;
    }

    it("says where it listens", () => {
      const { listener, url } = door.opened;
      if (typeof url === "string") assert.equal(listener.url, url);
      else assert.match(listener.url, url);
    });

    it("tells who is at the other end", async () => {
      const { client, link } = await door.dial();
      assert.deepEqual(link.peer, door.opened.peer(client));
    });

    it("takes and sends 10 MB in one piece, both ways at once", async () => {
      const { client, link, heard } = await door.dial();
      const other = pattern(LARGE.length, 2);
      const received = readBytes(client, other.length);
      client.write(LARGE);
      send(link, other);
      assert.ok((await received).equals(other));
      await until("all came", () => heard.size === LARGE.length);
      assert.ok(heard.bytes.equals(LARGE));
    });

    it(`serves ${CLIENTS} clients at once without mixing them`, async () => {
      const pairs: Dialled[] = [];
      for (let index = 0; index < CLIENTS; index++) pairs.push(await door.dial());
      for (let round = 0; round < 50; round++) {
        for (const [index, { client, link }] of pairs.entries()) {
          client.write(Buffer.alloc(97, index));
          send(link, Buffer.alloc(89, index + 100));
        }
        if (round % 10 === 0) await turns(1);
      }
      for (const [index, { client, heard }] of pairs.entries()) {
        assert.deepEqual(await readBytes(client, 89 * 50), Buffer.alloc(89 * 50, index + 100));
        await until("all came", () => heard.size === 97 * 50);
        assert.deepEqual(heard.bytes, Buffer.alloc(97 * 50, index));
      }
    });

    it("a client that does not read holds up nobody else", async () => {
      const slow = await door.dial();
      const { client, link } = await door.dial();
      send(slow.link, Buffer.alloc(MORE_THAN_KERNEL));
      await turns(5);
      assert.equal(slow.link.blocked, true);
      send(link, Buffer.from("swift"));
      assert.equal(String(await readBytes(client, 5)), "swift");
      assert.equal(slow.link.blocked, true);
    });

    it("stands beside another one, each with its own clients", async () => {
      const other = await openDoor();
      const mine = await door.dial();
      const theirs = await other.dial();
      assert.deepEqual([door.links.length, other.links.length], [1, 1]);
      mine.client.write("mine");
      theirs.client.write("theirs");
      await until("both came", () => mine.heard.size === 4 && theirs.heard.size === 6);
      assert.deepEqual([String(mine.heard.bytes), String(theirs.heard.bytes)], ["mine", "theirs"]);
    });

    it("close() leaves links alive, lets nobody in, and may be called again", async () => {
      const { client, link, heard } = await door.dial();
      const { listener, dial } = door.opened;
      await listener.close();
      await listener.close();
      await assert.rejects(dial());
      client.write("ping");
      await until("it came", () => heard.size === 4);
      send(link, Buffer.from("pong"));
      assert.equal(String(await readBytes(client, 4)), "pong");
      assert.deepEqual([door.links.length, heard.closes], [1, []]);
    });

    it("close() before listen() does nothing", async () => {
      const opened = new Door(await open());
      doors.push(opened);
      await opened.opened.listener.close();
    });

    it("refuses a place that is taken, and says which", async () => {
      const rival = door.opened.rival?.();
      if (rival === undefined) return;
      await assert.rejects(
        rival.listener.listen(() => new Heard()),
        { message: rival.message },
      );
      await rival.listener.close();
      await door.dial();
    });

    it("hears once of a peer that resets the connection, and what is sent then is forgotten", async () => {
      const { client, link, heard } = await door.dial();
      reset(client);
      await until("it was heard", () => heard.closes.length > 0);
      send(link, Buffer.from("too late"));
      await turns(10);
      assert.deepEqual([heard.closes.length, link.pendingBytes, heard.late], [1, 0, []]);
    });

    it("hears once of a reset during a blocked write, and not of draining", async () => {
      const { client, link, heard } = await door.dial();
      send(link, Buffer.alloc(MORE_THAN_KERNEL));
      await turns(5);
      assert.equal(link.blocked, true);
      reset(client);
      await until("it was heard", () => heard.closes.length > 0);
      await turns(10);
      assert.deepEqual([heard.closes.length, heard.drains, link.pendingBytes, heard.late], [1, 0, 0, []]);
    });

    it("survives writing to a peer that is gone", async () => {
      const { client, link, heard } = await door.dial();
      client.destroy();
      for (let round = 0; round < 50 && heard.closes.length === 0; round++) {
        send(link, Buffer.alloc(100_000));
        await turns(1);
      }
      await until("it was heard", () => heard.closes.length > 0);
      await turns(10);
      assert.deepEqual([heard.closes.length, heard.late], [1, []]);
    });

    it("serves the next client after one that went at once", async () => {
      (await door.opened.dial()).destroy();
      await until("it was heard of", () => door.heards.every(({ closes }) => closes.length === 1));
      const { client } = await door.dial();
      client.write("here");
      // The first one may be heard of only now.
      await until("it came", () => door.heards.some(({ size }) => size === 4));
    });
  });
}

interface Dialled {
  client: Duplex;
  link: Link;
  heard: Heard;
}

/** An opened listener with whom it let in. */
class Door {
  readonly opened: Opened;
  readonly links: Link[] = [];
  readonly heards: Heard[] = [];
  private readonly clients: Duplex[] = [];

  constructor(opened: Opened) {
    this.opened = opened;
  }

  readonly accept = (link: Link): Heard => {
    const heard = new Heard();
    this.links.push(link);
    this.heards.push(heard);
    return heard;
  };

  /** A client, and the link of the connection that was accepted next. */
  async dial(): Promise<Dialled> {
    await turns(3);
    const before = this.links.length;
    const client = await this.opened.dial();
    this.clients.push(client);
    await until("it was accepted", () => this.links.length > before);
    return { client, link: this.links.at(-1)!, heard: this.heards.at(-1)! };
  }

  async shut(): Promise<void> {
    for (const link of this.links) link.destroy();
    for (const client of this.clients) client.destroy();
    await this.opened.listener.close();
    await this.opened.close?.();
  }
}

/** As hard as the client can: without FIN over TCP. */
function reset(client: Duplex): void {
  if (client instanceof Socket && !(client instanceof TLSSocket) && client.remotePort !== undefined) {
    client.resetAndDestroy();
  } else client.destroy();
}
