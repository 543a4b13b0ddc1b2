import assert from "node:assert/strict";
import { join } from "node:path";
import { before, test } from "node:test";
import { type FramingName, framingOf } from "../../../device/serial/framing/framing.ts";
import {
  compile,
  FIRMWARE,
  type FirmwareFraming,
  FRAMING_NAMES,
  framingFlag,
  own,
  run,
  SANITIZED,
  STRICT,
  scratch,
} from "./build.ts";
import { Random } from "./random.ts";

const folder = scratch();
const drivers = new Map<FirmwareFraming, string>();

before(async () => {
  await Promise.all(
    FRAMING_NAMES.map(async (framing) => {
      const sources = [join(FIRMWARE, "src/framing.c"), own("line-driver.c")];
      const words = [...STRICT, ...SANITIZED, framingFlag(framing), ...sources];
      drivers.set(framing, await compile(join(folder, framing), words));
    }),
  );
});

async function drive(framing: FirmwareFraming, commands: readonly string[], capacity = 258): Promise<string[]> {
  const { status, stdout, stderr } = await run(drivers.get(framing)!, [`${capacity}`], `${commands.join("\n")}\n`);
  assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
  return stdout.trimEnd().split("\n");
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** Its data has all that must be escaped. The other message here, 02 17, is PINGRESP. */
const PUBLISH = "0c0c6200010002c0db00dcff";

test("CRC-16/X-25 has the check value of the catalogue", async () => {
  const commands = [`crc ${hex(Buffer.from("123456789"))}`, "crc "];
  assert.deepEqual(await drive("slip-crc", commands), ["crc 906e", "crc 0000"]);
});

/** The CRCs, 58C9 and 2B2B, were worked out bit by bit from the definition; the blocks of COBS by hand. */
const WIRE: Record<FirmwareFraming, readonly [string, string]> = {
  "slip-crc": ["c00217c958c0", "c00c0c6200010002dbdcdbdd00dcff2b2bc0"],
  slip: ["c00217c0", "c00c0c6200010002dbdcdbdd00dcffc0"],
  cobs: ["00050217c95800", "00040c0c6202010402c0db05dcff2b2b00"],
  raw: ["0217", PUBLISH],
};

for (const framing of FRAMING_NAMES) {
  test(`${framing}: the octets on the wire are these, whatever parts a message is given in`, async () => {
    const [pingresp, publish] = WIRE[framing];
    const sends = ["send 2 0217", ...[0, 1, 7, 12].map((head) => `send ${head} ${PUBLISH}`)];
    assert.deepEqual(
      await drive(framing, sends),
      [pingresp, ...Array(4).fill(publish)].map((octets) => `sent ${octets}`),
    );
    assert.deepEqual(await drive(framing, [`take ${pingresp}${publish}`, "state"]), [
      "message 0217",
      `message ${PUBLISH}`,
      "errors 0",
    ]);
  });

  test(`${framing}: the broker's end and this one understand each other, at all lengths`, async () => {
    const random = new Random(7);
    const messages = [...LENGTHS, ...Array.from({ length: 150 }, () => 7 + random.below(90))].map((length) =>
      publishOf(length, random),
    );
    const broker = framingOf(framing as FramingName);
    const sent = await drive(
      framing,
      messages.map((message) => `send ${random.below(8)} ${hex(message)}`),
    );
    assert.deepEqual(
      sent,
      messages.map((message) => `sent ${hex(broker.encode(message, undefined))}`),
    );
    const found = await drive(
      framing,
      messages.map((message) => `take ${hex(broker.encode(message, undefined))}`),
      1100,
    );
    assert.deepEqual(
      found,
      messages.map((message) => `message ${hex(message)}`),
    );
  });

  test(`${framing}: after noise the next message, or the one behind it, is understood`, async () => {
    const random = new Random(11);
    const commands: string[] = [];
    for (let round = 0; round < 200; round++) {
      commands.push(`take ${hex(random.bytes(random.below(300)))}`, "state");
      // Raw framing has nothing but silence to tell where a message begins.
      if (framing === "raw") commands.push("clock 20", "look");
      const pair = [publishOf(9, random), publishOf(9, random)];
      pair[1]!.set(Uint8Array.of(round >> 8, round & 0xff), 7);
      commands.push(...pair.map((message) => `take ${hex(framingOf(framing).encode(message, undefined))}`), "state");
    }
    const lines = await drive(framing, commands);
    const rounds = lines.join("\n").split(/^errors .*$/m);
    for (let round = 0; round < 200; round++) {
      const found = rounds[2 * round + 1]!.trim().split("\n").at(-1)!;
      assert.equal(found.length, "message ".length + 18, `round ${round}: ${found}`);
      assert.equal(found.slice(-4), hex(Uint8Array.of(round >> 8, round & 0xff)), `round ${round}`);
    }
  });

  test(`${framing}: a message that is longer than the buffer is dropped and counted, the next one is not`, async () => {
    const broker = framingOf(framing);
    const long = publishOf(64, new Random(3));
    const commands = [`take ${hex(broker.encode(long, undefined))}`, "clock 20", "look", `take ${WIRE[framing][0]}`];
    assert.deepEqual(await drive(framing, [...commands, "state"], 32), ["message 0217", "errors 1"]);
    assert.deepEqual(await drive(framing, [...commands, "state"], 66), [
      `message ${hex(long)}`,
      "message 0217",
      "errors 0",
    ]);
  });
}

for (const framing of ["slip-crc", "cobs"] as const) {
  test(`${framing}: of frames with flipped, lost and doubled octets none arrives damaged`, async () => {
    const random = new Random(13);
    const whole = new Set<string>();
    const commands: string[] = [];
    let intact = 0;
    for (let round = 0; round < 1500; round++) {
      const message = publishOf(7 + random.below(40), random);
      whole.add(`message ${hex(message)}`);
      let octets = [...framingOf(framing).encode(message, undefined)];
      const at = 1 + random.below(octets.length - 2);
      if (round % 4 === 0) octets = octets.with(at, octets[at]! ^ (1 << random.below(8)));
      else if (round % 4 === 1) octets.splice(at, 1);
      else if (round % 4 === 2) octets.splice(at, 0, octets[at]!);
      else intact++;
      commands.push(`take ${hex(Uint8Array.from(octets))}`);
    }
    const lines = await drive(framing, [...commands, "state"]);
    const errors = Number(lines.pop()!.replace("errors ", ""));
    assert.deepEqual(
      lines.filter((line) => !whole.has(line)),
      [],
    );
    assert.equal(lines.length, intact);
    assert.ok(errors >= 1500 - intact, `${errors} errors`);
  });
}

for (const framing of ["slip-crc", "slip"] as const) {
  test(`${framing}: an escape that stands for nothing, or is cut off, spoils its frame only`, async () => {
    const [pingresp] = WIRE[framing];
    for (const bad of ["c00217dbc0", "c002db17c0", "c0db0217c0"]) {
      assert.deepEqual(await drive(framing, [`take ${bad}${pingresp}`, "state"]), ["message 0217", "errors 1"], bad);
    }
  });
}

test("slip: what looks like a message at the end of one that is too long is none", async () => {
  const commands = [`take c0${"20".repeat(32)}0217c0${WIRE.slip[0]}`, "state"];
  assert.deepEqual(await drive("slip", commands, 32), ["message 0217", "errors 1"]);
});

test("cobs: a block that is cut off, and a first frame joined in its middle, spoil nothing else", async () => {
  for (const bad of ["000f0217c95800", "17c95800"]) {
    assert.deepEqual(await drive("cobs", [`take ${bad}${WIRE.cobs[0]}`, "state"]), ["message 0217", "errors 1"], bad);
  }
});

test("cobs: an empty block behind a full one, as some encoders write it, is understood", async () => {
  // 254 octets without a zero, CRC included: one full block.
  const random = new Random(1);
  for (;;) {
    const message = publishOf(252, random).map((octet) => octet || 1);
    const frame = hex(framingOf("cobs").encode(message, undefined));
    if (!frame.startsWith("00ff")) continue;
    const commands = [`take ${frame.slice(0, -2)}0100`, "state"];
    assert.deepEqual(await drive("cobs", commands), [`message ${hex(message)}`, "errors 0"]);
    break;
  }
});

test("raw: silence of 20 ms ends a message that was cut off, a late program does not", async () => {
  const cut = PUBLISH.slice(0, 10);
  const rest = PUBLISH.slice(10);
  // It looked 19 ms after the last octet, and not again before the rest was there.
  assert.deepEqual(
    await drive("raw", [
      "clock 1000",
      `take ${cut}`,
      "clock 19",
      "look",
      "state",
      "clock 500",
      `take ${rest}`,
      "state",
    ]),
    ["errors 0 unfinished", `message ${PUBLISH}`, "errors 0"],
  );
  assert.deepEqual(await drive("raw", [`take ${cut}`, "clock 20", "look", "state", "take 0217", "state"]), [
    "errors 1",
    "message 0217",
    "errors 1",
  ]);
});

test("raw: an impossible length or type silences the line until the next pause", async () => {
  for (const bad of ["00", "010003", "02ff", "05", "0100041e"]) {
    const commands = [`take ${bad}`, "take 0217", "clock 20", "look", "take 0217", "state"];
    assert.deepEqual(await drive("raw", commands), ["message 0217", "errors 1"], bad);
  }
});

/** Where COBS's blocks, the length octets and the CRC have their edges. */
const LENGTHS = [7, 8, 126, 250, 251, 252, 253, 254, 255, 256, 257, 258, 300, 506, 507, 508, 509, 510, 511, 512, 1000];

function publishOf(length: number, random: Random): Uint8Array {
  const long = length > 255;
  const head = long ? [1, length >> 8, length & 0xff, 0x0c] : [length, 0x0c];
  const message = new Uint8Array(length);
  message.set(head);
  message.set(random.bytes(length - head.length), head.length);
  // Long stretches without zeros, too.
  return length % 2 === 0 ? message.map((octet, at) => (at < head.length ? octet : octet || 0xdb)) : message;
}
