import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { formatJson } from "../../src/cli/json-text.ts";
import { compileFormat, type ReceivedMessage } from "../../src/cli/message-format.ts";
import { runPub } from "../../src/cli/pub.ts";
import { strftime } from "../../src/cli/strftime.ts";
import { runSub } from "../../src/cli/sub.ts";
import { type BrokerUnderTest, startBroker } from "../support/broker-under-test.ts";
import { ours, real } from "./clients-kit.ts";

describe("sub -F prints what mosquitto_sub prints", { concurrency: 8 }, () => {
  let broker: BrokerUnderTest;
  let at: string[];

  before(async () => {
    broker = await startBroker();
    at = ["-h", "127.0.0.1", "-p", String(broker.port)];
    const properties =
      'content-type text/plain|correlation-data corr"1|payload-format-indicator 1|response-topic re/s|user-property k1 v1|user-property kö v2'
        .split("|")
        .flatMap((words) => ["-D", "publish", ...words.split(" ")]);
    const retained: [string, string[]][] = [
      ["full", ["-m", 'hé"llo\\\tx', ...properties]],
      ["expiring", ["-m", "x", "-D", "publish", "message-expiry-interval", "4000000"]],
      ["one", ["-m", "a"]],
      ["ten", ["-m", "abcdefghij"]],
      [
        "numbers",
        [
          "-m",
          "[1e20,1e21,0.1,1e-7,123456789012345678,-0,1.0e2,3.14159265358979312,5e-324,0,-17,100000,1e15,0.00001234]",
        ],
      ],
      ["json", ["-m", ' {"b":1,"a":{"10":[],"2":true},"a":null,"e":{},"u":"\\/\\u20ac\\u0001\\ud83d\\ude00"} ']],
      ["null", ["-m", "null"]],
      ["ünï/cødé", ["-m", "x"]],
    ];
    for (const [topicName, words] of retained) {
      const result = await ours(runPub, [...at, "-q", "2", "-r", "-t", topicName, ...words]);
      assert.deepEqual([result.code, result.stderr], [0, ""]);
    }
    await ours(runPub, [...at, "-q", "2", "-r", "-t", "binary", "-s"], Buffer.from([0, 1, 0xff, 0x80, 0x0a, 0x25]));
  });
  after(() => broker.stop());

  const cases: [topicName: string, format: string, words: string[]][] = [
    ["full", "%A|%C|%D|%F|%l|%m|%P|%p|%q|%r|%R|%S|%t|%%|@@|\\\\|\\t|\\a|\\e|\\n|\\r|\\v|\\0", ["-V", "5", "-q", "1"]],
    ["full", "%A|%C|%D|%E|%F|%l|%m|%P|%p|%q|%r|%R|%S|%t", ["-q", "2"]],
    ["full", "%S|%5S|%05S|%-5S|", ["-D", "subscribe", "subscription-identifier", "7"]],
    ["full", "%20t|%-20t|%3.2t|%.2t|%010t|%-010t|%0t|%00t|%1000t", []],
    ["full", "%5l|%-5l|%05l|%-05l|%.2l|%5.1l", []],
    ["full", "%20C|%.4C|%20.4C|%-20R|%.2R|%05C|%020R", ["-V", "5"]],
    ["full", "%8A|%8C|%8D|%8E|%8F|%8P|%8R|%8S|%.3A|%08A|%-8A|%08C|%05.2C|%-05C", []],
    ["full", "%08F|%8F|%-8F|%5q|%5r|%20P|%20D|%5%|", ["-V", "5"]],
    ["full", "%8m|%08m|%-8m|", ["-q", "1"]],
    ["full", "%m|%5m", []],
    ["ten", "%x|%X|%30x|%-30x|%030x|%20x|%19x|%12x|%4x|%04x|%-08x|%.3x|%5.3x", []],
    ["ten", "%p|%30p|%-30p|%030p|%-030p|%3p|%.3p|%5.2p|", []],
    ["one", "%4x|%x|%2x|%1x|%X", []],
    ["binary", "%p|%x|%X|%l", []],
    ["json", "a%%b\\\\c@@dé%tü", []],
    ["full", "@Q @E @f @i @1 @+ @%", []],
    ["ünï/cødé", "%t|%12t|%.4t|", []],
  ];
  for (const [topicName, format, words] of cases) {
    it(`${JSON.stringify(format)} of ${topicName} ${words.join(" ")}`, async () => {
      const argv = [...at, "-t", topicName, "-C", "1", "-W", "5", "-F", format, ...words];
      const [mine, theirs] = await Promise.all([ours(runSub, argv), real("mosquitto_sub", argv)]);
      assert.deepEqual(mine, theirs);
    });
  }

  const jsonCases: [topicName: string, words: string[]][] = [
    ["full", ["-F", "%j", "-V", "5"]],
    ["full", ["-F", "%j", "-V", "5", "-q", "1", "-D", "subscribe", "subscription-identifier", "7"]],
    ["full", ["-F", "%j", "-V", "5", "--pretty"]],
    ["full", ["-F", "[%20j]"]],
    ["numbers", ["-F", "%J"]],
    ["numbers", ["-F", "%J", "--pretty"]],
    ["json", ["-F", "%J"]],
    ["json", ["-F", "%J", "--pretty", "-q", "2"]],
    ["json", ["-F", "%j"]],
    ["null", ["-F", "%J"]],
    ["ten", ["-F", "a%Jb"]],
    ["ten", ["-F", "a%Jb", "--quiet"]],
    ["ünï/cødé", ["-F", "%j"]],
  ];
  for (const [topicName, words] of jsonCases) {
    it(`the JSON of ${topicName} with ${words.join(" ")}`, async () => {
      const argv = [...at, "-t", topicName, "-C", "1", "-W", "5", ...words];
      const [mine, theirs] = await Promise.all([ours(runSub, argv), real("mosquitto_sub", argv)]);
      const text = (bytes: Buffer): string => bytes.toString().replace(/\d{4}-\d\d-\d\dT[\d:.]{15}Z/, "TIME");
      assert.deepEqual([text(mine.stdout), mine.stderr], [text(theirs.stdout), theirs.stderr]);
    });
  }

  it("prints the message expiry, which counts down", async () => {
    const argv = [...at, "-t", "expiring", "-C", "1", "-V", "5", "-F", "%E|%010E"];
    assert.match((await ours(runSub, argv)).stdout.toString(), /^(3999\d{3}|4000000)\|000\1\n$/);
  });

  it("prints dates in the same form", async () => {
    const argv = [...at, "-t", "one", "-C", "1", "-F", "%I|%30I|%-30I|%.10I|@Y-@m-@d"];
    const digits = (bytes: Buffer): string => bytes.toString().replace(/\d/g, "9");
    const [mine, theirs] = await Promise.all([ours(runSub, argv), real("mosquitto_sub", argv)]);
    assert.equal(digits(mine.stdout), digits(theirs.stdout));
  });

  it("keeps a payload with a zero byte whole in %j, where mosquitto_sub cuts it", async () => {
    const { stdout } = await ours(runSub, [...at, "-t", "binary", "-C", "1", "-F", "%j"]);
    assert.match(stdout.toString("latin1"), /"payloadlen":6,"payload":"\\u0000\\u0001\xff\x80\\n%"\}\n$/);
  });
});

const MESSAGE: ReceivedMessage = {
  topicName: "t",
  payload: Buffer.from("x"),
  qos: 0,
  retain: false,
  packetIdentifier: 0,
  properties: {},
};

describe("the parts of a format", () => {
  const print = (format: string, message: ReceivedMessage = MESSAGE): string =>
    compileFormat(format)(
      message,
      { date: new Date(2026, 0, 4, 15, 4, 5), nanoseconds: 7_000_123 },
      { pretty: false, onProblem: assert.fail },
    ).toString();

  it("names every part of the sequence that is wrong", () => {
    for (const [format, message] of [
      ["%Q", '-F: unknown sequence "%Q"'],
      ["%5", '-F: the format ends in the middle of "%5"'],
      ["a%-0", '-F: the format ends in the middle of "%-0"'],
      ["@", '-F: the format ends in the middle of "@"'],
      ["abc\\", '-F: the format ends in the middle of "\\"'],
      ["\\q", '-F: unknown sequence "\\q"'],
    ] as const) {
      assert.throws(() => compileFormat(format), { name: "UsageError", message });
    }
  });

  it("prints nanoseconds with all nine digits", () => assert.equal(print("@N"), "007000123"));

  it("prints seconds since 1970 with nanoseconds", () => {
    assert.equal(print("%U"), `${Math.floor(new Date(2026, 0, 4, 15, 4, 5).getTime() / 1000)}.007000123`);
  });

  it("prints the first of several subscription identifiers, and all of them in JSON", () => {
    const message = { ...MESSAGE, properties: { subscriptionIdentifiers: [3, 9] } };
    assert.equal(print("%S", message), "3");
    assert.match(print("%j", message), /"properties":\{"subscription-identifier":3,"subscription-identifier":9\}/);
  });

  it("prints a repeated user property each time", () => {
    const message: ReceivedMessage = {
      ...MESSAGE,
      properties: {
        userProperties: [
          ["a", "1"],
          ["a", "2"],
        ],
      },
    };
    assert.equal(print("%P", message), "a:1 a:2");
  });

  it("knows the conversions of strftime in the C locale", () => {
    const date = new Date(2026, 0, 4, 15, 4, 5);
    const letters = "a A b B C d D e F g G h H I j k l m M n p P r R S t T u U V w W x X y Y %";
    assert.equal(
      letters
        .split(" ")
        .map((letter) => strftime(letter, date))
        .join("|"),
      "Sun|Sunday|Jan|January|20|04|01/04/26| 4|2026-01-04|26|2026|Jan|15|03|004|15| 3|01|04|\n|PM|pm|03:04:05 PM|15:04|05|\t|15:04:05|7|01|01|0|00|01/04/26|15:04:05|26|2026|%",
    );
    assert.equal(strftime("c", date), "Sun Jan  4 15:04:05 2026");
  });

  it("counts ISO weeks across the turn of a year", () => {
    assert.equal(strftime("G", new Date(2027, 0, 1)) + strftime("V", new Date(2027, 0, 1)), "202653");
    assert.equal(strftime("G", new Date(2024, 11, 30)) + strftime("V", new Date(2024, 11, 30)), "202501");
  });

  it("refuses what is no JSON", () => assert.throws(() => formatJson("{} x", false), SyntaxError));
});
