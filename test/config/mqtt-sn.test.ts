import assert from "node:assert/strict";
import { test } from "node:test";
import { headlines, load, MAIN, settingsOf } from "./loading.ts";

const LINE = {
  path: "/dev/ttyUSB0",
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

test("mqttSn: nothing is opened unless it is asked for, and the times are those that 1.2 §7.2 proposes", async () => {
  const { mqttSn, serial, warnings } = await settingsOf([]);
  assert.deepEqual(mqttSn, {
    port: undefined,
    host: "::",
    group: undefined,
    gatewayId: 1,
    advertiseSeconds: 900,
    retryMs: 10_000,
    retries: 3,
    predefined: new Map(),
    predefinedOf: new Map(),
    cleanSessionSeconds: 86_400,
    statePrefix: "$SYS/broker/clients",
    mountPoint: undefined,
    upstream: undefined,
  });
  assert.deepEqual([serial, warnings], [[], []]);
});

test("mqttSn: options and keys of the file say the same", async () => {
  const fromOptions = await settingsOf([
    ...["--mqtt-sn-port=1884", "--bind=127.0.0.1", "--mqtt-sn-group=225.1.1.1", "--mqtt-sn-gateway-id=7"],
    ...["--mqtt-sn-advertise=20m", "--mqtt-sn-retry-interval=500ms", "--mqtt-sn-retry-count=5"],
    ...["--mqtt-sn-topic=1=plant/level", "--mqtt-sn-topic=pump-3:1=plant/pump-3", "--mqtt-sn-clean-session-expiry=1h"],
    "--mqtt-sn-state-prefix=plant/states",
    "--serial=/dev/ttyUSB0:9600,framing=slip-crc",
  ]);
  const fromFile = await settingsOf([], {
    [MAIN]: `{
      bind: "127.0.0.1",
      mqttSn: {
        port: 1884, group: "225.1.1.1", gatewayId: 7, advertise: "20m", retryInterval: "500ms", retryCount: 5,
        topics: ["1=plant/level", "pump-3:1=plant/pump-3"], cleanSessionExpiry: "1h", statePrefix: "plant/states",
      },
      serial: ["/dev/ttyUSB0:9600,framing=slip-crc"],
    }`,
  });
  assert.deepEqual(fromOptions.mqttSn, {
    port: 1884,
    host: "127.0.0.1",
    group: "225.1.1.1",
    gatewayId: 7,
    advertiseSeconds: 1200,
    retryMs: 500,
    retries: 5,
    predefined: new Map([[1, "plant/level"]]),
    predefinedOf: new Map([["pump-3", new Map([[1, "plant/pump-3"]])]]),
    cleanSessionSeconds: 3600,
    statePrefix: "plant/states",
    mountPoint: undefined,
    upstream: undefined,
  });
  assert.deepEqual(fromFile.mqttSn, fromOptions.mqttSn);
  assert.deepEqual(fromOptions.serial, [{ ...LINE, baudRate: 9600, framing: "slip-crc" }]);
  assert.deepEqual(fromFile.serial, fromOptions.serial);
});

test("serial: an entry of the file is a text or an object, and a pattern is a path too", async () => {
  const text = `{ serial: [{ path: "/dev/ttyUSB0", baud: 9600, framing: "cobs", gap: "50ms", user: "garden" }, "/dev/ttyACM*"] }`;
  const { serial } = await settingsOf([], { [MAIN]: text });
  assert.deepEqual(serial, [
    { ...LINE, baudRate: 9600, framing: "cobs", gapMs: 50, user: "garden" },
    { ...LINE, path: "/dev/ttyACM*" },
  ]);
});

test("mqttSn: a predefined topic may be said twice, and its name may have signs of its own", async () => {
  const { mqttSn } = await settingsOf([
    "--mqtt-sn-topic=65534=a=b:c",
    "--mqtt-sn-topic=65534=a=b:c",
    "--mqtt-sn-topic=a:b:2=x",
  ]);
  assert.deepEqual(mqttSn.predefined, new Map([[65_534, "a=b:c"]]));
  assert.deepEqual(mqttSn.predefinedOf, new Map([["a:b", new Map([[2, "x"]])]]));
});

test("mqttSn: a group without a port is warned of, since it is not used", async () => {
  const { warnings } = await settingsOf(["--mqtt-sn-group=225.1.1.1"]);
  assert.deepEqual(warnings, ["--mqtt-sn-group: not used, since there is no --mqtt-sn-port"]);
});

const WHERE =
  "must be absolute, such as /dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0, /dev/ttyUSB0 or /dev/ttyACM*";
const KEYS = "the keys are baud, framing, flow, parity, stop, data, gap, max, name, user, forwarder";
const BAUD = "baud of a serial line must be a whole number from 50 to 4000000, such as 9600 or 115200";
const GROUPS = "is no multicast group of IPv4: those are 224.0.0.0 to 239.255.255.255";

for (const [options, ...expected] of [
  ["--mqtt-sn-port=x", '--mqtt-sn-port needs a whole number from 0 to 65,535, not "x"'],
  ["--mqtt-sn-port=65536", '--mqtt-sn-port needs a whole number from 0 to 65,535, not "65536"'],
  ...["plant/+", "plant/#", "plant/"].map((prefix): [string, string] => [
    `--mqtt-sn-state-prefix=${prefix}`,
    `--mqtt-sn-state-prefix: ${JSON.stringify(prefix)} is no beginning of a topic: it needs a name without + and #, and no / at its end`,
  ]),
  ["--mqtt-sn-gateway-id=0", '--mqtt-sn-gateway-id needs a whole number from 1 to 255, not "0"'],
  ["--mqtt-sn-gateway-id=256", '--mqtt-sn-gateway-id needs a whole number from 1 to 255, not "256"'],
  [
    "--mqtt-sn-advertise=65536",
    '--mqtt-sn-advertise needs a duration such as 10s or 1h30m, from 0s to 65,535s, not "65536"',
  ],
  [
    "--mqtt-sn-retry-interval=99ms",
    '--mqtt-sn-retry-interval needs a duration such as 10s or 1h30m, from 100ms to 10m, not "99ms"',
  ],
  ["--mqtt-sn-retry-count=101", '--mqtt-sn-retry-count needs a whole number from 0 to 100, not "101"'],
  [
    "--mqtt-sn-clean-session-expiry=0",
    '--mqtt-sn-clean-session-expiry needs a duration such as 10s or 1h30m, from 1s to 4,294,967,295s, not "0"',
  ],
  ["--mqtt-sn-port=1 --mqtt-sn-group=host", `--mqtt-sn-group: "host" ${GROUPS}`],
  ["--mqtt-sn-port=1 --mqtt-sn-group=223.255.255.255", `--mqtt-sn-group: "223.255.255.255" ${GROUPS}`],
  ["--mqtt-sn-port=1 --mqtt-sn-group=240.0.0.0", `--mqtt-sn-group: "240.0.0.0" ${GROUPS}`],
  ["--mqtt-sn-port=1 --mqtt-sn-group=ff02::1", `--mqtt-sn-group: "ff02::1" ${GROUPS}`],
  ["--mqtt-sn-topic=plant", '--mqtt-sn-topic: "plant" is no predefined topic'],
  ["--mqtt-sn-topic=0=plant", '--mqtt-sn-topic: "0=plant" is no predefined topic'],
  ["--mqtt-sn-topic=65535=plant", '--mqtt-sn-topic: "65535=plant" is no predefined topic'],
  ["--mqtt-sn-topic=1=plant/#", '--mqtt-sn-topic: "1=plant/#" is no predefined topic'],
  ["--mqtt-sn-topic=1=", '--mqtt-sn-topic: "1=" is no predefined topic'],
  ["--mqtt-sn-topic=:1=a", '--mqtt-sn-topic: ":1=a" is no predefined topic'],
  ["--mqtt-sn-topic=1=a --mqtt-sn-topic=1=b", "--mqtt-sn-topic: The predefined topic 1 is a already"],
  ["--mqtt-sn-topic=c:1=a --mqtt-sn-topic=c:1=b", "--mqtt-sn-topic: The predefined topic 1 of c is a already"],
  ["--serial=ttyUSB0", `--serial: The path of a serial line ${WHERE}, not "ttyUSB0"`],
  ["--serial=/dev/ttyUSB0:0", `--serial: ${BAUD}, not "0"`],
  [
    "--serial=/dev/ttyUSB0,framing=slipp",
    '--serial: framing of a serial line must be auto, raw, slip, slip-crc, hdlc, cobs, xbee1 or xbee2, not "slipp"',
  ],
  ["--serial=/dev/ttyUSB0,speed=9600", `--serial: "speed" is nothing that a serial line has: ${KEYS}`],
  [
    "--serial=/dev/ttyUSB0,data=7,stop=3",
    '--serial: data of a serial line must be 8: a message is made of octets, and fewer data bits would cut each of them, not "7"',
    '--serial: stop of a serial line must be 1 or 2, not "3"',
  ],
  ["--serial=/dev/ttyUSB0 --serial=/dev/ttyUSB0:9600", "--serial: The serial line /dev/ttyUSB0 is given twice"],
  [
    "--serial=/dev/*/ttyUSB0",
    `--serial: "/dev/*/ttyUSB0" has * or ? in a folder: only the last part of a serial line's path may have them, as in /dev/ttyACM*`,
  ],
] as const) {
  test(`${options} is refused`, async () => {
    assert.deepEqual(headlines(await load(options.split(" "))), expected);
  });
}

for (const [text, expected] of [
  ["{ mqttSn: { prt: 1 } }", '1:13: Unknown key "prt"'],
  ["{ mqttSn: { port: 'x' } }", '1:19: mqttSn.port must be a whole number from 0 to 65,535, not "x"'],
  ["{ mqttSn: { topics: ['1=a', '1=b'] } }", "1:29: The predefined topic 1 is a already"],
  [
    "{ serial: [{ baud: 9600 }] }",
    `1:12: A serial line needs a path, such as ${WHERE.slice("must be absolute, such as ".length)}`,
  ],
  ["{ serial: [{ path: '/dev/ttyUSB0', baud: 1 }] }", `1:12: ${BAUD}, not 1`],
  ["{ serial: [{ path: '/dev/ttyUSB0', speed: 1 }] }", `1:12: "speed" is nothing that a serial line has: ${KEYS}`],
  ["{ serial: [5] }", "1:12: serial[0] must be the path of a serial line, or an object with a path, not 5"],
  ["{ serial: [[]] }", "1:12: serial[0] must be the path of a serial line, or an object with a path, not []"],
  ["{ serial: '/dev/ttyUSB0' }", '1:11: serial must be a list in square brackets, not "/dev/ttyUSB0"'],
] as const) {
  test(`the file ${text} is refused`, async () => {
    assert.deepEqual(headlines(await load([], { [MAIN]: text })), [`mqtt-broker.json5:${expected}`]);
  });
}

test("what is wrong with a predefined topic comes with how to write one", async () => {
  const { problems } = await load(["--mqtt-sn-topic=plant"]);
  assert.deepEqual(
    problems.map(({ hint }) => hint),
    ["Write ID=TOPIC, or CLIENT:ID=TOPIC for one client, with an ID from 1 to 65534 and a topic without + and #"],
  );
});

test("serial: in the environment the lines stand behind one another, each with its settings", async () => {
  const { serial } = await settingsOf(
    [],
    {},
    { MQTT_BROKER_SERIAL: "/dev/ttyUSB0:9600,framing=raw, /dev/ttyACM*,user=garden" },
  );
  assert.deepEqual(serial, [
    { ...LINE, baudRate: 9600, framing: "raw" },
    { ...LINE, path: "/dev/ttyACM*", user: "garden" },
  ]);
});
