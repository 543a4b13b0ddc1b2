import assert from "node:assert/strict";
import { test } from "node:test";
import { isGlob, type LineMistake, parseLine, readLine } from "../../../device/serial/line-spec.ts";

const DEFAULTS = {
  name: "",
  baudRate: 115_200,
  parity: "none",
  stopBits: 1,
  framing: "auto",
  flow: "none",
  gapMs: undefined,
  maxMessage: 1024,
  user: "",
  forwarder: "auto",
};

test("a path alone is a line at 115,200 baud, 8N1, whose framing is found out", () => {
  assert.deepEqual(lineOf("/dev/ttyUSB0"), { ...DEFAULTS, path: "/dev/ttyUSB0" });
});

test("everything can be said of a line on the command line", () => {
  const text =
    "/dev/ttyS1:9600,framing=slip-crc,flow=rts,parity=even,data=8,stop=2,gap=50ms,max=2k,name=garden,user=meter,forwarder=true";
  assert.deepEqual(lineOf(text), {
    path: "/dev/ttyS1",
    name: "garden",
    baudRate: 9600,
    parity: "even",
    stopBits: 2,
    framing: "slip-crc",
    flow: "rts",
    gapMs: 50,
    maxMessage: 2048,
    user: "meter",
    forwarder: true,
  });
});

test("the same can be said in the configuration file", () => {
  const entry = {
    path: "/dev/ttyS1",
    baud: 9600,
    framing: "slip-crc",
    flow: "rts",
    parity: "even",
    data: 8,
    stop: 2,
    gap: 0.05,
    max: "2k",
    name: "garden",
    user: "meter",
    forwarder: true,
  };
  const text =
    "/dev/ttyS1:9600,framing=slip-crc,flow=rts,parity=even,data=8,stop=2,gap=50ms,max=2k,name=garden,user=meter,forwarder=true";
  const mistakes: LineMistake[] = [];
  assert.deepEqual(readLine(entry, mistakes), lineOf(text));
  assert.deepEqual(readLine(text, mistakes), lineOf(text));
  assert.deepEqual(mistakes, []);
});

test("colons stay in a path, and only a number behind the last one is a baud rate", () => {
  const path = "/dev/serial/by-path/platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1.2:1.0-port0";
  assert.deepEqual(lineOf(path), { ...DEFAULTS, path });
  assert.deepEqual(lineOf(`${path}:57600`), { ...DEFAULTS, path, baudRate: 57_600 });
  const acm = "/dev/serial/by-path/pci-0000:00:14.0-usb-0:2:1.0";
  assert.deepEqual(lineOf(`${acm},framing=raw`), { ...DEFAULTS, path: acm, framing: "raw" });
});

test("each of the framings, flows and forwarder settings is taken", () => {
  for (const framing of ["auto", "raw", "slip", "slip-crc", "hdlc", "cobs", "xbee1", "xbee2"]) {
    assert.equal(lineOf(`/dev/x,framing=${framing}`)?.framing, framing);
  }
  assert.equal(lineOf("/dev/x,flow=xon,framing=xbee2")?.flow, "xon");
  assert.equal(lineOf("/dev/x,forwarder=false")?.forwarder, false);
  assert.equal(lineOf("/dev/x,forwarder=auto")?.forwarder, "auto");
});

test("globs are taken in the last part of a path only", () => {
  assert.equal(lineOf("/dev/ttyACM*:9600")?.path, "/dev/ttyACM*");
  assert.deepEqual([isGlob("/dev/ttyACM*"), isGlob("/dev/ttyUSB?"), isGlob("/dev/ttyUSB0")], [true, true, false]);
  assert.deepEqual(mistakesOf("/dev/*/ttyUSB0"), [
    'path: "/dev/*/ttyUSB0" has * or ? in a folder: only the last part of a serial line\'s path may have them, as in /dev/ttyACM*',
  ]);
});

test("each mistake is named with what is needed", () => {
  const cases: [text: string, mistake: string][] = [
    [
      "/dev/x:20",
      'baud: baud of a serial line must be a whole number from 50 to 4000000, such as 9600 or 115200, not "20"',
    ],
    [
      "/dev/x,framing=ppp",
      'framing: framing of a serial line must be auto, raw, slip, slip-crc, hdlc, cobs, xbee1 or xbee2, not "ppp"',
    ],
    ["/dev/x,flow=dtr", 'flow: flow of a serial line must be none, rts or xon, not "dtr"'],
    ["/dev/x,parity=mark", 'parity: parity of a serial line must be none, even or odd, not "mark"'],
    ["/dev/x,stop=1.5", 'stop: stop of a serial line must be 1 or 2, not "1.5"'],
    [
      "/dev/x,data=7",
      'data: data of a serial line must be 8: a message is made of octets, and fewer data bits would cut each of them, not "7"',
    ],
    ["/dev/x,gap=20", 'gap: gap of a serial line must be a duration from 1ms to 5s, such as 20ms, not "20"'],
    [
      "/dev/x,max=31",
      'max: max of a serial line must be the octets of the longest message, a whole number from 32 to 65535, not "31"',
    ],
    ["/dev/x,name=a/b", 'name: name of a serial line must be a text without /, + and #, not "a/b"'],
    ["/dev/x,user=", 'user: user of a serial line must be the name of a user of the auth file, not ""'],
    ["/dev/x,forwarder=yes", 'forwarder: forwarder of a serial line must be auto, true or false, not "yes"'],
    ["/dev/x,framig=raw", 'framig: "framig" is nothing that a serial line has: did you mean framing?'],
    [
      "/dev/x,dtr=off",
      'dtr: "dtr" is nothing that a serial line has: the keys are baud, framing, flow, parity, stop, data, gap, max, name, user, forwarder',
    ],
    [
      "/dev/x,raw",
      '-: "raw" is no setting of a serial line: write KEY=VALUE with one of baud, framing, flow, parity, stop, data, gap, max, name, user, forwarder',
    ],
    ["/dev/x:9600,baud=9600", "baud: baud is given twice"],
  ];
  for (const [text, mistake] of cases) assert.deepEqual(mistakesOf(text), [mistake]);
});

test("a path must be absolute, and there must be one", () => {
  const needed =
    "path: The path of a serial line must be absolute, such as /dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0, /dev/ttyUSB0 or /dev/ttyACM*, not ";
  assert.deepEqual(mistakesOf("ttyUSB0:9600"), [`${needed}"ttyUSB0"`]);
  assert.deepEqual(mistakesOf(""), [`${needed}""`]);
  assert.deepEqual(mistakesOf("/dev/"), [`${needed}"/dev/"`]);
  const without = "-: A serial line needs a path, such as ";
  assert.equal(mistakesOf({ baud: 9600 })[0]?.slice(0, without.length), without);
});

test("all mistakes of a line are told at once", () => {
  assert.deepEqual(
    mistakesOf({ path: 5, baud: true, framing: null }).map((text) => text.split(":")[0]),
    ["path", "baud", "framing"],
  );
  assert.equal(mistakesOf(["/dev/x"])[0]?.startsWith("-: A serial line is an object such as"), true);
  assert.equal(mistakesOf(null).length, 1);
});

test("XON and XOFF are refused where a message may contain them", () => {
  assert.deepEqual(
    mistakesOf("/dev/x,flow=xon,framing=raw").map((text) => text.split(":")[0]),
    ["flow"],
  );
  assert.equal(mistakesOf("/dev/x,flow=xon").length, 1);
});

function lineOf(text: string) {
  const mistakes: LineMistake[] = [];
  const line = parseLine(text, mistakes);
  assert.deepEqual(mistakes, []);
  return line;
}

function mistakesOf(entry: unknown): string[] {
  const mistakes: LineMistake[] = [];
  const line = readLine(entry, mistakes);
  assert.equal(line, undefined);
  return mistakes.map(({ key, message }) => `${key ?? "-"}: ${message}`);
}
