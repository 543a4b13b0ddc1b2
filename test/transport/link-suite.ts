import assert from "node:assert/strict";
import { Socket } from "node:net";
import { afterEach, beforeEach, describe, it } from "node:test";
import { ReasonCode } from "../../src/codec/reason.ts";
import { countWrites, pattern, type Rig, readBytes, readToEnd, send, turns, until } from "./rig.ts";

/** More than a loopback connection's two kernel buffers hold. */
const MORE_THAN_KERNEL = 24 * 1024 * 1024;
const LARGE = pattern(MORE_THAN_KERNEL);

/** What every link does, whatever it runs on. `makeRig` is called for each test. */
export function linkSuite(name: string, makeRig: () => Promise<Rig>): void {
  describe(`link over ${name}`, () => {
    let rig: Rig;
    beforeEach(async () => {
      rig = await makeRig();
    });
    afterEach(() => rig.close());

    it("hands on bytes in order, however they were cut", async () => {
      const { heard, client } = await rig.connect();
      const sent = pattern(3000);
      for (let index = 0; index < 100; index++) client.write(sent.subarray(index, index + 1));
      await until("single bytes came", () => heard.bytes.length === 100);
      client.write(sent.subarray(100));
      await until("the rest came", () => heard.bytes.length === 3000);
      assert.deepEqual(heard.bytes, sent);
    });

    it("writes all packets of a turn at once, in order", async () => {
      const { link, stream, client } = await rig.connect();
      const writes = countWrites(stream);
      const sent = pattern(1000);
      for (let index = 0; index < 1000; index += 10) send(link, sent.subarray(index, index + 10));
      assert.equal(link.pendingBytes, 1000);
      assert.equal(writes.count, 0);
      assert.deepEqual(await readBytes(client, 1000), sent);
      assert.equal(writes.count, 1);
      // TLS hears of it a turn after the peer has read.
      await until("all is written", () => link.pendingBytes === 0);
    });

    it("writes again in a later turn", async () => {
      const { link, stream, client } = await rig.connect();
      const writes = countWrites(stream);
      send(link, Buffer.from("one"));
      assert.equal(String(await readBytes(client, 3)), "one");
      send(link, Buffer.from("two"));
      assert.equal(String(await readBytes(client, 3)), "two");
      assert.equal(writes.count, 2);
    });

    it("writes each of several links once", async () => {
      const pairs = [await rig.connect(), await rig.connect(), await rig.connect()];
      const writes = pairs.map(({ stream }) => countWrites(stream));
      for (let round = 0; round < 50; round++) {
        for (const [index, { link }] of pairs.entries()) send(link, Buffer.from([index, round]));
      }
      for (const [index, { client }] of pairs.entries()) {
        const bytes = await readBytes(client, 100);
        assert.deepEqual([bytes.length, bytes[0], bytes[98], bytes[99]], [100, index, index, 49]);
      }
      assert.deepEqual(
        writes.map(({ count }) => count),
        [1, 1, 1],
      );
    });

    it("keeps what was written when the batch grows", async () => {
      const { link, client } = await rig.connect();
      const sent = pattern(300_000);
      const received = readBytes(client, sent.length);
      for (let at = 0, size = 1; at < sent.length; at += size, size = (size * 7) % 997) {
        send(link, sent.subarray(at, Math.min(at + size, sent.length)));
      }
      assert.ok((await received).equals(sent));
    });

    it("sends 10 MB reserved at once", async () => {
      const { link, client } = await rig.connect();
      const sent = pattern(10_000_000);
      const received = readBytes(client, sent.length);
      send(link, sent);
      assert.ok((await received).equals(sent));
    });

    it("holds no buffer while idle", async () => {
      const { link, client } = await rig.connect();
      assert.equal(link.batch.length, 0);
      send(link, Buffer.from("x"));
      assert.equal(link.batch.length, 2048);
      await readBytes(client, 1);
      await until("all is written", () => link.pendingBytes === 0);
      assert.equal(link.batch.length, 0);
      assert.equal(rig.turn.pool.freeBytes, 2048);
    });

    it("tells of a slow reader, and once when it has caught up", async () => {
      const { link, heard, client } = await rig.connect();
      const sent = LARGE;
      send(link, sent);
      await turns(5);
      assert.equal(link.blocked, true);
      assert.equal(link.pendingBytes, MORE_THAN_KERNEL);
      assert.ok(link.takenBytes < MORE_THAN_KERNEL);
      assert.equal(heard.drains, 0);
      assert.ok((await readBytes(client, sent.length)).equals(sent));
      await until("it drained", () => heard.drains > 0);
      assert.deepEqual([link.blocked, link.pendingBytes, link.takenBytes], [false, 0, MORE_THAN_KERNEL]);
      await turns(5);
      assert.equal(heard.drains, 1);
    });

    it("counts bytes gathered behind a blocked write, and writes them as one piece", async () => {
      const { link, stream, heard, client } = await rig.connect();
      const writes = countWrites(stream);
      const first = LARGE;
      const behind = pattern(200_000, 2);
      send(link, first);
      await turns(5);
      for (let at = 0; at < behind.length; at += 500) {
        send(link, behind.subarray(at, at + 500));
        if (at % 50_000 === 0) await turns(1);
      }
      assert.equal(link.pendingBytes, first.length + behind.length);
      assert.equal(writes.count, 1);
      const received = await readBytes(client, first.length + behind.length);
      assert.ok(received.subarray(0, first.length).equals(first));
      assert.ok(received.subarray(first.length).equals(behind));
      await until("it drained", () => heard.drains > 0);
      assert.equal(writes.count, 2);
      assert.equal(heard.drains, 1);
      assert.equal(link.pendingBytes, 0);
    });

    it("lets onDrain send more", async () => {
      const { link, heard, client } = await rig.connect();
      heard.onDrained = () => {
        heard.onDrained = undefined;
        send(link, Buffer.from("more"));
      };
      send(link, LARGE);
      const received = await readBytes(client, MORE_THAN_KERNEL + 4);
      assert.equal(String(received.subarray(MORE_THAN_KERNEL)), "more");
    });

    it("counts taken bytes, never backwards, while a slow reader reads", async () => {
      const { link, client } = await rig.connect();
      send(link, LARGE);
      let last = 0;
      for (let read = 0; read < MORE_THAN_KERNEL; ) {
        read += (await readBytes(client, 1)).length;
        assert.ok(link.takenBytes >= last);
        last = link.takenBytes;
      }
      await until("all is taken", () => link.takenBytes === MORE_THAN_KERNEL);
    });

    it("stops reading when told to, and goes on where it was", async () => {
      const { link, heard, client } = await rig.connect();
      const sent = pattern(2_000_000);
      client.write(sent.subarray(0, 10));
      await until("the start came", () => heard.bytes.length === 10);
      link.pauseReading();
      client.write(sent.subarray(10));
      await turns(20);
      const paused = heard.bytes.length;
      assert.ok(paused <= 10 + 128 * 1024, `${paused} bytes came while paused`);
      await turns(20);
      assert.equal(heard.bytes.length, paused);
      link.resumeReading();
      await until("the rest came", () => heard.bytes.length === sent.length);
      assert.ok(heard.bytes.equals(sent));
    });

    it("pauses from inside onData", async () => {
      const { link, heard, client } = await rig.connect();
      const onData = heard.onData.bind(heard);
      heard.onData = (bytes, start, end) => {
        onData(bytes, start, end);
        link.pauseReading();
      };
      client.write("first");
      await until("it came", () => heard.bytes.length === 5);
      client.write("second");
      await turns(20);
      link.resumeReading();
      await until("it came", () => heard.bytes.length === 11);
      assert.equal(String(heard.bytes), "firstsecond");
    });

    it("hears of the peer's half-close, sends what is gathered, and closes its side", async () => {
      const { link, heard, client } = await rig.connect();
      const onData = heard.onData.bind(heard);
      heard.onData = (bytes, start, end) => {
        onData(bytes, start, end);
        send(link, Buffer.from("answer"));
      };
      client.end("question");
      assert.equal(String(await readToEnd(client)), "answer");
      assert.equal(String(heard.bytes), "question");
      assert.deepEqual(heard.closes, [undefined]);
      await turns(5);
      assert.deepEqual([heard.closes.length, heard.late], [1, []]);
    });

    it("end() sends what is gathered before FIN, and is heard once, afterwards", async () => {
      const { link, heard, client } = await rig.connect();
      send(link, Buffer.from("last words"));
      link.end();
      link.end();
      assert.equal(heard.closes.length, 0);
      assert.equal(String(await readToEnd(client)), "last words");
      assert.deepEqual(heard.closes, [undefined]);
      client.end();
      await turns(10);
      assert.deepEqual([heard.closes.length, heard.late], [1, []]);
    });

    it("end() of a blocked link sends both batches before FIN", async () => {
      const { link, client, heard } = await rig.connect();
      const first = LARGE;
      const second = pattern(5000, 2);
      send(link, first);
      await turns(5);
      send(link, second);
      link.end();
      const received = await readToEnd(client);
      assert.equal(received.length, first.length + second.length);
      assert.ok(received.subarray(first.length).equals(second));
      assert.deepEqual([heard.closes, heard.drains, heard.late], [[undefined], 0, []]);
    });

    it("end() discards what the peer still sends", async (t) => {
      // So that the moment the peer is given does not end this instead.
      t.mock.timers.enable({ apis: ["setTimeout"] });
      const { link, heard, client, stream } = await rig.connect();
      client.resume();
      link.end();
      client.write(pattern(500_000));
      client.end();
      await until("both sides closed", () => stream.destroyed);
      assert.equal(heard.bytes.length, 0);
      assert.deepEqual([heard.closes, heard.late], [[undefined], []]);
    });

    it("end() discards although reading was paused", async (t) => {
      // So that the moment the peer is given does not end this instead.
      t.mock.timers.enable({ apis: ["setTimeout"] });
      const { link, heard, client, stream } = await rig.connect();
      client.resume();
      link.pauseReading();
      client.write("unread");
      await turns(5);
      link.end();
      client.end();
      await until("both sides closed", () => stream.destroyed);
      assert.equal(heard.bytes.length, 0);
    });

    it("end(reason) closes a second later when the peer does not", async (t) => {
      const { link, heard, stream } = await rig.connect();
      t.mock.timers.enable({ apis: ["setTimeout"] });
      link.end(ReasonCode.KeepAliveTimeout);
      await turns(5);
      t.mock.timers.tick(999);
      assert.equal(stream.destroyed, false);
      t.mock.timers.tick(1);
      assert.equal(stream.destroyed, true);
      await turns(5);
      assert.deepEqual([heard.closes, heard.late], [[undefined], []]);
    });

    it("end() lets a peer that has said goodbye close first, and sends it no end then", async (t) => {
      t.mock.timers.enable({ apis: ["setTimeout"] });
      const { link, client, stream } = await rig.connect();
      const ended = t.mock.method(stream, "end");
      link.end();
      await turns(5);
      client.end();
      client.resume();
      await until("both sides closed", () => stream.destroyed && client.destroyed);
      // Only a socket's own close tells the peer.
      assert.equal(ended.mock.callCount(), stream instanceof Socket ? 0 : 1);
    });

    it("end() sends the end 10 ms later to one that stays", async (t) => {
      t.mock.timers.enable({ apis: ["setTimeout"] });
      const { link, client, stream } = await rig.connect();
      link.end();
      if (stream instanceof Socket) {
        t.mock.timers.tick(9);
        await turns(20);
        assert.equal(stream.writableEnded, false);
        t.mock.timers.tick(1);
      }
      assert.equal((await readToEnd(client)).length, 0);
      t.mock.timers.tick(1000);
      assert.equal(stream.destroyed, true);
    });

    it("closes a second after the peer's half-close when the peer takes nothing", async (t) => {
      const { link, heard, client, stream } = await rig.connect();
      send(link, LARGE);
      await turns(5);
      t.mock.timers.enable({ apis: ["setTimeout"] });
      client.end();
      await until("it was heard", () => heard.closes.length > 0);
      assert.equal(stream.destroyed, false);
      t.mock.timers.tick(1000);
      assert.equal(stream.destroyed, true);
      await turns(5);
      assert.deepEqual([heard.closes, heard.late, heard.drains], [[undefined], [], 0]);
    });

    it("destroy() drops what is gathered, and is heard once, afterwards", async () => {
      const { link, heard, client, stream } = await rig.connect();
      const writes = countWrites(stream);
      send(link, Buffer.from("never sent"));
      link.destroy();
      link.destroy();
      link.end();
      assert.equal(heard.closes.length, 0);
      assert.equal(link.pendingBytes, 0);
      await turns(10);
      assert.equal(writes.count, 0);
      assert.deepEqual([heard.closes, heard.late], [[undefined], []]);
      client.destroy();
    });

    it("destroy() after end() closes at once", async () => {
      const { link, heard, stream } = await rig.connect();
      link.end();
      link.destroy();
      assert.equal(stream.destroyed, true);
      await turns(5);
      assert.deepEqual(heard.closes, [undefined]);
    });

    it("destroy() of a blocked link is heard once, without onDrain", async () => {
      const { link, heard } = await rig.connect();
      send(link, LARGE);
      await turns(5);
      link.destroy();
      assert.deepEqual([link.pendingBytes, link.blocked], [0, false]);
      await turns(10);
      assert.deepEqual([heard.closes, heard.drains, heard.late], [[undefined], 0, []]);
    });

    it("hears of a failed stream once, with the error", async () => {
      const { heard, stream } = await rig.connect();
      const failure = new Error("cable cut");
      stream.destroy(failure);
      await until("it was heard", () => heard.closes.length > 0);
      await turns(10);
      assert.deepEqual([heard.closes, heard.late], [[failure], []]);
    });

    it("takes packets for a closed link, and forgets them", async () => {
      const { link, heard } = await rig.connect();
      link.destroy();
      for (const size of [0, 1, 2048, 2049, 100_000]) {
        send(link, pattern(size));
        assert.equal(link.pendingBytes, 0);
      }
      link.pauseReading();
      link.resumeReading();
      await turns(5);
      send(link, pattern(10));
      await turns(5);
      assert.equal(link.pendingBytes, 0);
      assert.deepEqual([heard.closes, heard.late], [[undefined], []]);
    });

    it("can be refused inside accept, with a packet that says why", async () => {
      const { heard, client } = await rig.connect((link) => {
        send(link, Buffer.from("go away"));
        link.end();
      });
      assert.equal(String(await readToEnd(client)), "go away");
      assert.deepEqual([heard.closes, heard.late], [[undefined], []]);
    });

    it("can be destroyed inside accept", async () => {
      const { heard } = await rig.connect((link) => link.destroy());
      await turns(5);
      assert.deepEqual([heard.closes, heard.late], [[undefined], []]);
    });

    it("gives its buffers back, so that a second burst needs no new ones", async () => {
      const { link, client } = await rig.connect();
      for (let round = 0; round < 2; round++) {
        const received = readBytes(client, 200_000);
        for (let at = 0; at < 200_000; at += 100) send(link, pattern(100));
        await received;
        await until("all is written", () => link.pendingBytes === 0);
      }
      const before = rig.turn.pool.freeBytes;
      const received = readBytes(client, 1000);
      send(link, pattern(1000));
      await received;
      await until("all is written", () => link.pendingBytes === 0);
      assert.equal(rig.turn.pool.freeBytes, before);
    });
  });
}
