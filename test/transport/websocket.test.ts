import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { afterEach, describe, it } from "node:test";
import { WebSocket } from "ws";
import { ReasonCode } from "../../src/codec/reason.ts";
import type { Link } from "../../src/core/ports.ts";
import { Turn } from "../../src/transport/turn.ts";
import { WebSocketListener, type WebSocketListenerOptions } from "../../src/transport/websocket.ts";
import { Heard, pattern, readToEnd, send, turns, until } from "./rig.ts";
import { dialRaw, dialWebSocket, frame, OPCODE, opening, type RawWebSocket, request } from "./websocket-rig.ts";

const MESSAGE_BYTES_MAX = 100_000;

describe("WebSocketListener", () => {
  const ends: (() => unknown)[] = [];
  const links: Link[] = [];
  const heards: Heard[] = [];

  afterEach(async () => {
    for (const link of links.splice(0)) link.destroy();
    for (const end of ends.splice(0).reverse()) await end();
    heards.length = 0;
  });

  async function listen(options: Partial<WebSocketListenerOptions> = {}): Promise<WebSocketListener> {
    const listener = new WebSocketListener({
      name: "main",
      host: "127.0.0.1",
      port: 0,
      turn: new Turn(),
      maxPayload: MESSAGE_BYTES_MAX,
      ...options,
    });
    ends.push(() => listener.close());
    await listener.listen((link) => {
      links.push(link);
      const heard = new Heard();
      heards.push(heard);
      return heard;
    });
    return listener;
  }

  async function dial(listener: WebSocketListener, headers?: Record<string, string>): Promise<RawWebSocket> {
    const client = await dialWebSocket(listener, headers);
    ends.push(() => client.destroy());
    return client;
  }

  /** Status, body and the header that belongs to the status. */
  async function ask(listener: WebSocketListener, line: string, headers: Record<string, string>): Promise<unknown[]> {
    const socket = await dialRaw(listener);
    ends.push(() => socket.destroy());
    const answer = await request(socket, line, headers);
    const more = await readToEnd(socket);
    const extra = ["allow", "upgrade", "sec-websocket-version"].flatMap((name) => answer.headers.get(name) ?? []);
    return [answer.status, `${answer.rest}${more}`.trim(), ...extra];
  }

  const GET = "GET /mqtt HTTP/1.1";
  const MISPLACED = "MQTT over WebSocket is at /mqtt.";
  const PLAIN = { Host: "broker" };

  for (const [offered, chosen] of [
    ["mqtt", "mqtt"],
    ["mqttv3.1", "mqttv3.1"],
    ["mqttv3.1, mqtt", "mqtt"],
    ["soap,mqtt", "mqtt"],
  ] as const) {
    it(`answers the offer ${offered} with ${chosen} (5.0 [MQTT-6.0.0-4], 3.1.1 [MQTT-6.0.0-4])`, async () => {
      const client = await dial(await listen(), { "Sec-WebSocket-Protocol": offered });
      assert.equal(client.response.headers.get("sec-websocket-protocol"), chosen);
    });
  }

  for (const offered of [undefined, "", "MQTT", "soap, mqtt5"]) {
    it(`refuses the offer ${offered ?? "of nothing"} and says what to offer`, async () => {
      const { "Sec-WebSocket-Protocol": _, ...none } = opening();
      const headers = offered === undefined ? none : { ...none, "Sec-WebSocket-Protocol": offered };
      const refused: string[] = [];
      const listener = await listen({ onRefused: (address, reason) => refused.push(address, reason) });
      const reason = "Offer the WebSocket subprotocol mqtt, as MQTT 5.0 wants it in section 6.";
      assert.deepEqual(await ask(listener, GET, headers), [400, reason]);
      assert.match(refused[0]!, /^127\.0\.0\.1:\d+$/);
      assert.equal(refused[1], reason);
      assert.equal(links.length, 0);
    });
  }

  for (const [title, line, headers, expected] of [
    ["another path with 404", "GET /other HTTP/1.1", opening(), [404, MISPLACED]],
    ["a path that goes on with 404", "GET /mqtt/ HTTP/1.1", opening(), [404, MISPLACED]],
    ["a plain request for another path with 404", "GET /favicon.ico HTTP/1.1", PLAIN, [404, MISPLACED]],
    ["POST with 405", "POST /mqtt HTTP/1.1", opening(), [405, "A WebSocket is asked for with GET.", "GET"]],
    ["a plain DELETE with 405", "DELETE /mqtt HTTP/1.1", PLAIN, [405, "A WebSocket is asked for with GET.", "GET"]],
    [
      "a plain GET with 426",
      GET,
      PLAIN,
      [426, "Here is MQTT over WebSocket: connect with an MQTT client.", "websocket", "13"],
    ],
  ] as const) {
    it(`refuses ${title} and a sentence`, async () => {
      assert.deepEqual(await ask(await listen(), line, headers), expected);
    });
  }

  it("takes / too, and a query, where no path was asked for", async () => {
    const listener = await listen();
    for (const path of ["/", "/mqtt?token=1", "/?x"]) {
      const socket = await dialRaw(listener);
      ends.push(() => socket.destroy());
      assert.equal((await request(socket, `GET ${path} HTTP/1.1`, opening())).status, 101);
    }
  });

  it("takes a path that was asked for, and then no other", async () => {
    const listener = await listen({ path: "/door" });
    assert.match(listener.url, /^ws:\/\/127\.0\.0\.1:\d+\/door$/);
    assert.deepEqual(await ask(listener, "GET / HTTP/1.1", opening()), [404, "MQTT over WebSocket is at /door."]);
    const socket = await dialRaw(listener);
    ends.push(() => socket.destroy());
    assert.equal((await request(socket, "GET /door HTTP/1.1", opening())).status, 101);
  });

  it("lets in pages of listed origins and programs, which have none", async () => {
    const listener = await listen({ origins: ["https://example.org", "http://[::1]:3000"] });
    const reason = "Pages of this origin may not connect: the broker's list of origins lacks it.";
    for (const Origin of [
      "https://example.org.evil.example",
      "http://example.org",
      "https://example.org:444",
      "null",
    ]) {
      assert.deepEqual(await ask(listener, GET, opening({ Origin })), [403, reason], Origin);
    }
    for (const Origin of ["https://example.org", "HTTPS://Example.org", "http://[::1]:3000"]) {
      await dial(listener, { Origin });
    }
    await dial(listener);
    assert.equal(links.length, 4);
  });

  it("refuses headers of more than 16 KiB, and survives what is no HTTP", async () => {
    const listener = await listen();
    const [status] = await ask(listener, GET, opening({ Cookie: "x".repeat(17_000) }));
    assert.equal(status, 431);
    const socket = await dialRaw(listener);
    socket.write(Buffer.from([0x10, 0x0c, 0, 4, 0x4d, 0x51, 0x54, 0x54, 13, 10, 13, 10]));
    assert.match(String(await readToEnd(socket)), /^HTTP\/1\.1 400 Bad Request\r\n/);
    socket.destroy();
    await dial(listener);
  });

  for (const [title, headers, expected] of [
    [
      "an old version of WebSocket with 426 and the one to speak (RFC 6455, 4.4)",
      { "Sec-WebSocket-Version": "7" },
      [426, "Speak version 13 of WebSocket, as RFC 6455 describes it.", "websocket", "13"],
    ],
    [
      "a key that is not 16 bytes with 400",
      { "Sec-WebSocket-Key": "dGhlIHNhbXBsZQ==" },
      [400, "Send a Sec-WebSocket-Key, 16 bytes in base64, as RFC 6455 wants it in section 4.1."],
    ],
    [
      "an upgrade to something else with 426",
      { Upgrade: "h2c" },
      [426, "Here is MQTT over WebSocket: connect with an MQTT client.", "websocket", "13"],
    ],
  ] as const) {
    it(`refuses ${title}, and opens no link`, async () => {
      assert.deepEqual(await ask(await listen(), GET, opening(headers)), expected);
      assert.equal(links.length, 0);
    });
  }

  it("hears what comes in one piece with the opening handshake", async () => {
    const listener = await listen();
    const socket = await dialRaw(listener);
    ends.push(() => socket.destroy());
    const head = Object.entries(opening()).map(([name, value]) => `${name}: ${value}\r\n`);
    const bytes = frame(OPCODE.binary, Buffer.from("at once"));
    socket.write(Buffer.concat([Buffer.from(`${GET}\r\n${head.join("")}\r\n`), bytes, bytes.subarray(0, 9)]));
    await until("it came", () => heards[0]?.size === 10);
    socket.write(bytes.subarray(9));
    await until("the rest came", () => heards[0]!.size === 14);
    assert.equal(String(heards[0]!.bytes), "at onceat once");
  });

  for (const [title, begin] of [
    ["says nothing", ""],
    ["does not end its request", `${GET}\r\nHost: broker\r\n`],
  ] as const) {
    it(`cuts off who ${title} when its time is over, and says so`, async () => {
      const refused: string[] = [];
      const listener = await listen({ handshakeMs: 60, onRefused: (_address, reason) => refused.push(reason) });
      const arrived = await dial(listener);
      const socket = await dialRaw(listener);
      socket.write(begin);
      assert.equal(String(await readToEnd(socket)), "");
      socket.destroy();
      assert.deepEqual(refused, ["it has not asked for a WebSocket within 60 ms"]);
      arrived.write("still here");
      await until("it came", () => heards[0]!.size === 10);
    });
  }

  it("joins what messages and fragments split, and splits what they join (5.0 [MQTT-6.0.0-2], 3.1.1 [MQTT-6.0.0-2])", async () => {
    const client = await dial(await listen());
    const sent = pattern(3000);
    const { socket } = client;
    for (let at = 0; at < 50; at++) socket.write(frame(OPCODE.binary, sent.subarray(at, at + 1)));
    socket.write(frame(OPCODE.binary, sent.subarray(50, 300), false));
    socket.write(frame(OPCODE.ping, Buffer.from("between")));
    socket.write(frame(OPCODE.continuation, sent.subarray(300, 400), false));
    socket.write(frame(OPCODE.continuation, sent.subarray(400, 2000)));
    const rest = Buffer.concat([
      frame(OPCODE.binary, Buffer.alloc(0)),
      frame(OPCODE.binary, sent.subarray(2000, 2500)),
      frame(OPCODE.binary, sent.subarray(2500)),
    ]);
    for (let at = 0; at < rest.length; at += 7) socket.write(rest.subarray(at, at + 7));
    await until("all came", () => heards[0]!.size === sent.length);
    assert.deepEqual(heards[0]!.bytes, sent);
  });

  for (const [last, code] of [
    [frame(OPCODE.ping, Buffer.from("behind them")), undefined],
    [frame(OPCODE.close, Buffer.from([0x03, 0xe8])), 1000],
    [frame(OPCODE.text, Buffer.from("no")), 1003],
  ] as const) {
    const end = code === undefined ? "a ping" : `what closes it with ${code}`;
    it(`hands the core at once what one read brought in many messages, before ${end}`, async () => {
      const client = await dial(await listen());
      client.resume();
      const heard = heards[0]!;
      const pieces: Buffer[] = [];
      heard.onData = (bytes, start, end) => {
        assert.deepEqual(heard.closes, []);
        pieces.push(Buffer.from(bytes.subarray(start, end)));
      };
      const sent = pattern(1200);
      // Short and long: masks are taken off in two ways.
      const sizes = [1, 300, 2, 95, 500, 302];
      let at = 0;
      const frames = sizes.map((size) => {
        at += size;
        return frame(OPCODE.binary, sent.subarray(at - size, at));
      });
      client.socket.write(Buffer.concat([...frames, frame(OPCODE.ping, Buffer.alloc(0)), frames[0]!, last]));
      const isOver = () => (code === undefined ? client.pongs.length > 0 : client.closeCode !== undefined);
      await until("it was answered", isOver);
      assert.deepEqual(pieces, [Buffer.concat([sent, sent.subarray(0, 1)])]);
      assert.equal(client.closeCode, code);
    });
  }

  it("sends what one turn has gathered as one message", async () => {
    const client = await dial(await listen());
    client.resume();
    for (let index = 0; index < 100; index++) send(links[0]!, Buffer.alloc(10, index));
    await until("it came", () => client.messages.length > 0);
    send(links[0]!, Buffer.alloc(5));
    await until("it came", () => client.messages.length > 1);
    assert.deepEqual(client.messages, [1000, 5]);
  });

  for (const [title, bytes, code, reason, error] of [
    [
      "a text message with 1003",
      frame(OPCODE.text, Buffer.from("CONNECT")),
      1003,
      "MQTT takes binary messages only",
      /^a text message came/,
    ],
    [
      "a message beyond the limit with 1009",
      frame(OPCODE.binary, Buffer.alloc(100_001)),
      1009,
      "",
      /^a message has 100001 bytes or more, over the limit of 100000$/,
    ],
    ["a frame without a mask with 1002", Buffer.from([0x82, 1, 0]), 1002, "", /^a frame is not masked$/],
    ["a reserved bit with 1002", Buffer.from([0xc2, 0x80, 0, 0, 0, 0]), 1002, "", /^a reserved bit of a frame is set$/],
  ] as const) {
    it(`closes ${title}, once, with the reason for the log (5.0 [MQTT-6.0.0-1], 3.1.1 [MQTT-6.0.0-1])`, async () => {
      const client = await dial(await listen());
      client.resume();
      client.socket.write(bytes);
      // Nothing that comes behind is heard.
      client.socket.write(frame(OPCODE.binary, Buffer.from("behind")));
      await until("it was closed", () => client.closeCode !== undefined && heards[0]!.closes.length > 0);
      assert.deepEqual([client.closeCode, client.closeReason], [code, reason]);
      assert.match(heards[0]!.closes[0]!.message, error);
      await turns(5);
      assert.deepEqual([heards[0]!.closes.length, heards[0]!.size, heards[0]!.late], [1, 0, []]);
    });
  }

  for (const [title, reasonCode, code] of [
    ["no reason", undefined, 1000],
    ["Success", ReasonCode.Success, 1000],
    ["Disconnect with Will Message", ReasonCode.DisconnectWithWill, 1000],
    ["Server shutting down", ReasonCode.ServerShuttingDown, 1001],
    ["Malformed Packet", ReasonCode.MalformedPacket, 1002],
    ["Protocol Error", ReasonCode.ProtocolError, 1002],
    ["Unsupported Protocol Version", ReasonCode.UnsupportedProtocolVersion, 1002],
    ["Topic Alias invalid", ReasonCode.TopicAliasInvalid, 1002],
    ["Bad User Name or Password", ReasonCode.BadUserNameOrPassword, 1008],
    ["Not authorized", ReasonCode.NotAuthorized, 1008],
    ["Keep Alive timeout", ReasonCode.KeepAliveTimeout, 1008],
    ["Session taken over", ReasonCode.SessionTakenOver, 1008],
    ["Packet too large", ReasonCode.PacketTooLarge, 1009],
    ["Implementation specific error", ReasonCode.ImplementationSpecificError, 1011],
    ["Server busy", ReasonCode.ServerBusy, 1013],
  ] as const) {
    it(`a link that is ended for ${title} sends its last packet and closes with ${code}`, async () => {
      const client = await dial(await listen());
      client.resume();
      send(links[0]!, Buffer.from("last words"));
      links[0]!.end(reasonCode);
      await until("it was closed", () => client.closeCode !== undefined);
      assert.deepEqual([client.closeCode, client.messages], [code, [10]]);
    });
  }

  it("closes TCP at once when the client has answered the close frame", async () => {
    const client = await dial(await listen());
    client.resume();
    links[0]!.end();
    await until("it was closed", () => client.closeCode !== undefined);
    assert.equal(client.socket.readableEnded, false);
    client.socket.write(frame(OPCODE.close, Buffer.from([0x03, 0xe8])));
    await once(client.socket, "end");
  });

  it("answers pings with what they carry, and piles up none for a peer that does not read (RFC 6455, 5.5.3)", async () => {
    const client = await dial(await listen());
    const { socket } = client;
    client.resume();
    socket.write(frame(OPCODE.ping, Buffer.from("first")));
    await until("it was answered", () => client.pongs.length === 1);
    socket.pause();
    send(links[0]!, Buffer.alloc(24 * 1024 * 1024));
    await turns(5);
    for (let count = 0; count < 5000; count++) socket.write(frame(OPCODE.ping, Buffer.from(`${count}`.padEnd(125))));
    const { stream } = links[0] as unknown as { stream: { socket: Socket } };
    await until("all came", () => stream.socket.bytesRead > 5000 * 131);
    const waiting = stream.socket.writableLength;
    assert.ok(waiting <= 24 * 1024 * 1024 + 10, `${waiting} bytes wait`);
    socket.resume();
    await until("the last was answered", () => client.pongs.length > 1);
    assert.deepEqual(client.pongs, ["first", "4999".padEnd(125)]);
  });

  it("answers a client's close frame, and tells the core once", async () => {
    const listener = await listen();
    const client = new WebSocket(listener.url, "mqtt");
    await once(client, "open");
    client.send("x".repeat(10), { binary: true });
    client.close(1000);
    const [code] = await once(client, "close");
    assert.equal(code, 1000);
    await until("it was heard", () => heards[0]!.closes.length > 0);
    assert.deepEqual([heards[0]!.size, heards[0]!.closes, heards[0]!.late], [10, [undefined], []]);
  });

  it("agrees on no compression", async () => {
    const client = await dial(await listen(), { "Sec-WebSocket-Extensions": "permessage-deflate" });
    assert.equal(client.response.headers.get("sec-websocket-extensions"), undefined);
  });

  it("closes connections that have not become a WebSocket when it closes", async () => {
    const listener = await listen();
    const socket = await dialRaw(listener);
    await turns(5);
    const ended = Promise.race([once(socket, "end"), once(socket, "close")]);
    socket.resume();
    await listener.close();
    await ended;
    socket.destroy();
  });

  it("turns away who comes while too many are on their way, but none for those who have arrived", async () => {
    const refused: string[] = [];
    const listener = await listen({ handshakesMax: 2, onRefused: (_address, reason) => refused.push(reason) });
    for (let count = 0; count < 3; count++) await dial(listener);
    const waiting = [await dialRaw(listener), await dialRaw(listener)];
    await turns(5);
    await assert.rejects(dialWebSocket(listener));
    assert.deepEqual(refused, ["too many clients are on their way to a WebSocket"]);
    waiting[0]!.destroy();
    await turns(20);
    await dial(listener);
    waiting[1]!.destroy();
  });

  it("sends pings, and ends a connection whose peer answers none", async (t) => {
    t.mock.timers.enable({ apis: ["setInterval"] });
    const listener = await listen();
    const alive = await dial(listener);
    const mute = await dial(listener);
    mute.mute = true;
    for (const client of [alive, mute]) client.resume();
    t.mock.timers.tick(29_999);
    await turns(10);
    assert.deepEqual([alive.pings, mute.pings], [0, 0]);
    t.mock.timers.tick(1);
    await until("both were asked", () => alive.pings === 1 && mute.pings === 1);
    await turns(20);
    t.mock.timers.tick(30_000);
    await until("the mute one was given up", () => heards[1]!.closes.length > 0);
    assert.equal(heards[1]!.closes[0]!.message, "the peer does not answer pings");
    await until("the other one was asked again", () => alive.pings === 2);
    assert.deepEqual([heards[0]!.closes, mute.pings], [[], 1]);
  });

  it("asks no peer that has output to take, and gives none up for that", async (t) => {
    t.mock.timers.enable({ apis: ["setInterval"] });
    const client = await dial(await listen());
    client.mute = true;
    send(links[0]!, Buffer.alloc(24 * 1024 * 1024));
    await turns(10);
    for (let round = 0; round < 3; round++) t.mock.timers.tick(30_000);
    await turns(10);
    assert.deepEqual([heards[0]!.closes, links[0]!.blocked], [[], true]);
  });

  it("reads no further than a message while the core reads nothing", async () => {
    const client = await dial(await listen());
    const message = frame(OPCODE.binary, Buffer.alloc(50_000));
    links[0]!.pauseReading();
    const { socket } = client;
    let written = 0;
    for (let round = 0; round < 200; round++) {
      for (let count = 0; count < 10; count++) socket.write(message, () => written++);
      await turns(1);
    }
    const taken = written;
    await turns(50);
    assert.equal(written, taken);
    // What is not with us is with the kernels, or still with the client.
    const { stream } = links[0] as unknown as { stream: { readableLength: number; socket: { bytesRead: number } } };
    assert.ok(stream.readableLength <= 200_000, `${stream.readableLength} bytes wait`);
    assert.ok(stream.socket.bytesRead <= 400_000, `${stream.socket.bytesRead} bytes were read`);
    links[0]!.resumeReading();
    await until("all came", () => heards[0]!.size === 2000 * 50_000);
  });

  it("tells the address that a trusted proxy forwards for, which is not local", async () => {
    const listener = await listen({ trustedProxies: ["127.0.0.0/8"] });
    await dial(listener, { "X-Forwarded-For": "203.0.113.9, 127.0.0.2" });
    assert.deepEqual(links[0]!.peer, {
      address: "203.0.113.9",
      local: false,
      listener: "main",
      transport: "websocket",
    });
  });

  it("refuses a trusted proxy that is no address", () => {
    const options = { name: "main", host: "::", port: 0, turn: new Turn(), maxPayload: 1 };
    assert.throws(() => new WebSocketListener({ ...options, trustedProxies: ["proxy.example"] }), {
      name: "RangeError",
      message: '"proxy.example" is no address and no network such as 10.0.0.0/8',
    });
  });
});
