import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { runClient } from "../../src/cli/client.ts";
import { CLIENT_OPTIONS } from "../../src/cli/client-option-table.ts";
import { connectSettings, parseClientOptions } from "../../src/cli/client-options.ts";
import { runPub } from "../../src/cli/pub.ts";
import { runRr } from "../../src/cli/rr.ts";
import { runSub } from "../../src/cli/sub.ts";
import { type Command, ours, real } from "./clients-kit.ts";

const USAGE: [name: "pub" | "sub" | "rr", command: Command, words: string, message: string][] = [
  ["pub", runPub, "-t x", "No message to publish: give -m, -f, -l, -n or -s"],
  ["pub", runPub, "-m x", "No topic to publish to: give -t"],
  ["pub", runPub, "-t x -t y -m x", "-t can be given once only"],
  ["pub", runPub, "-t x/+ -m x", '-t: "x/+" has a wildcard, so nothing can be published to it'],
  ["pub", runPub, "-t x -m 1 -n", "Only one of -m, -f, -l, -n and -s can be given"],
  ["pub", runPub, "-t x -m", "Option -m needs a value: -m TEXT"],
  ["pub", runPub, "-t x -m 1 -q 3", '-q must be 0, 1 or 2, not "3"'],
  ["pub", runPub, "-t x -m 1 -k 4", '-k must be 5 to 65535, not "4"'],
  ["pub", runPub, "-t x -m 1 -p 65536", '-p must be 1 to 65535, not "65536"'],
  ["pub", runPub, "-t x -m 1 -V 4", '-V must be 5, 31, 311, mqttv31, mqttv311, mqttv5, not "4"'],
  ["pub", runPub, "-t x -m 1 -c", "-c needs a client identifier to find the session by: give -i"],
  ["pub", runPub, "-t x -m 1 -i a -I b", "-i and -I cannot be combined"],
  ["pub", runPub, "-t x -m 1 --retian", "Unknown option --retian; did you mean --retain?"],
  ["pub", runPub, "-t x -m 1 --zzzzzzzz", "Unknown option --zzzzzzzz"],
  ["pub", runPub, "-t x -m 1 -C 1", "Option -C belongs to sub, not to pub"],
  ["pub", runPub, "-t x -m 1 more", 'Unexpected argument "more": topics are given with -t'],
  ["pub", runPub, "-t x -m 1 -z=1", "Unknown option -z=1"],
  ["pub", runPub, "-t x -m 1 --retain=1", "Option --retain takes no value"],
  ["pub", runPub, "-t x -m 1 --will-qos 1", "--will-payload, --will-qos and --will-retain need --will-topic"],
  ["pub", runPub, "-t x -m 1 --will-topic #", '--will-topic: "#" has a wildcard, so nothing can be published to it'],
  ["pub", runPub, "-t x -l --repeat 2", "--repeat cannot be combined with -l"],
  ["pub", runPub, "-t x -m 1 -S", "-S is not supported: there is no SRV lookup; give the host with -h"],
  ["pub", runPub, "-t x -m 1 --tls-engine e", "--tls-engine is not supported: Node.js has no OpenSSL engines"],
  ["pub", runPub, "-t x -m 1 --keyform engine", "--keyform engine is not supported: Node.js has no OpenSSL engines"],
  ["pub", runPub, "-t x -m 1 --psk 12", "--psk and --psk-identity belong together"],
  ["pub", runPub, "-t x -m 1 --psk 123", "--psk must be an even number of hexadecimal digits"],
  ["pub", runPub, "-t x -m 1 --cert a", "--cert and --key belong together"],
  ["pub", runPub, "-t x -m 1 --proxy http://a", '--proxy must begin with socks5h://, not "http://a"'],
  ["pub", runPub, "-m 1 -L http://a/x", "-L: the URL must begin with mqtt://, mqtts://, ws:// or wss://, not http://"],
  ["pub", runPub, "-m 1 -L a", '-L: "a" is no URL'],
  ["pub", runPub, "-t x -m 1 -D frob a 1", '-D: no properties for "frob"'],
  ["pub", runPub, "-t x -m 1 -D publsh a 1", '-D: no properties for "publsh"; did you mean "publish"?'],
  [
    "pub",
    runPub,
    "-t x -m 1 -D publish contenttyp a",
    '-D: unknown property "contenttyp"; did you mean "content-type"?',
  ],
  [
    "pub",
    runPub,
    "-t x -m 1 -D publish subscription-identifier 1",
    "-D: publish has no property subscription-identifier; it belongs to subscribe",
  ],
  ["pub", runPub, "-t x -m 1 -D publish topic-alias 70000", '-D: topic-alias must be 1 to 65535, not "70000"'],
  ["pub", runPub, "-t x -m 1 -D publish user-property a", "-D publish user-property needs a name and a value"],
  [
    "pub",
    runPub,
    "-t x -m 1 -D publish topic-alias",
    "-D needs a packet, a property and a value, such as: -D publish content-type text/plain",
  ],
  ["sub", runSub, "-U x", "No topic to subscribe to: give -t"],
  ["sub", runSub, "-t x/#/y", '-t: "x/#/y" is no Topic Filter; look at its wildcards'],
  ["sub", runSub, "-t x -T a+", '-T: "a+" is no Topic Filter; look at its wildcards'],
  ["sub", runSub, "-t x -U a+", '-U: "a+" is no Topic Filter; look at its wildcards'],
  ["sub", runSub, "-t x -R --retained-only", "-R and --retained-only leave nothing to print"],
  ["sub", runSub, "-t x -C 0", '-C must be 1 to 9007199254740991, not "0"'],
  ["sub", runSub, "-t x -W 0", '-W must be 1 to 2000000, not "0"'],
  ["sub", runSub, "-t x -F %Q", '-F: unknown sequence "%Q"'],
  ["sub", runSub, "-t x -m a", "Option -m belongs to pub and rr, not to sub"],
  ["sub", runSub, "-t x --random-filter 0", '--random-filter must be 0.1 to 100, not "0"'],
  ["rr", runRr, "-t x -m 1", "No topic for the response: give -e"],
  ["rr", runRr, "-t x -e y", "No message to publish: give -m, -f, -l, -n or -s"],
  ["rr", runRr, "-t x -e y/+ -m 1", '-e: "y/+" has a wildcard, so nothing can be published to it'],
];

describe("a wrong command line", () => {
  for (const [name, command, words, message] of USAGE) {
    it(`${name} ${words} ends with 2 and says why`, async () => {
      const { code, stdout, stderr } = await ours(command, words.split(" "));
      assert.equal(stderr, `Error: ${message}\n\nUse 'mqtt-broker ${name} --help' to see usage.\n`);
      assert.deepEqual([code, stdout.length], [2, 0]);
    });
  }

  it("pub refuses an empty client identifier", async () => {
    const { code, stderr } = await ours(runPub, ["-i", "", "-t", "x", "-m", "1"]);
    assert.equal(code, 2);
    assert.match(stderr, /leave -i out/);
  });

  for (const [words, message] of [
    ["-brokr a", "Unknown option -brokr; did you mean -broker?"],
    ["more", "Unknown option more"],
    ["-qos 3", '-qos must be 0, 1 or 2, not "3"'],
    ["-broker http://a", '-broker: "http://a" is no URL such as tcp://127.0.0.1:1883'],
    ["-client", "Option -client needs a value"],
  ] as const) {
    it(`client ${words} ends with 2 and says why`, async () => {
      const { code, stderr } = await ours(runClient, words.split(" "));
      assert.equal(stderr, `Error: ${message}\n\nUse 'mqtt-broker client -help' to see usage.\n`);
      assert.equal(code, 2);
    });
  }
});

describe("--help", () => {
  for (const [name, command] of [
    ["pub", runPub],
    ["sub", runSub],
    ["rr", runRr],
  ] as const) {
    it(`of ${name} names every option it takes`, async () => {
      const { code, stdout, stderr } = await ours(command, ["--help"]);
      assert.deepEqual([code, stderr], [0, ""]);
      const lines = stdout.toString().split("\n");
      for (const option of CLIENT_OPTIONS.filter(({ commands }) => commands.includes(name))) {
        assert.ok(
          lines.some((line) => line.startsWith(`  ${option.names.join(", ")}`)),
          option.names.join(),
        );
      }
      assert.deepEqual(
        lines.filter((line) => line.length > 120),
        [],
      );
    });

    it(`of ${name} knows every option that mosquitto_${name} knows`, async () => {
      const { stdout } = await real(`mosquitto_${name}`, ["--help"]);
      const theirs = [...stdout.toString().matchAll(/^ (--?[\w-]+) :/gm)].map((match) => match[1]!);
      const known = CLIENT_OPTIONS.filter(({ commands }) => commands.includes(name)).flatMap(({ names }) => names);
      assert.ok(theirs.length > 30);
      assert.deepEqual(
        theirs.filter((option) => !known.includes(option)),
        [],
      );
    });
  }

  it("of client names its options", async () => {
    const { code, stdout } = await ours(runClient, ["-help"]);
    assert.equal(code, 0);
    assert.match(stdout.toString(), /-broker URL.*\n.*-client ID.*\n.*-user NAME.*\n.*-pass PASSWORD.*\n.*-qos QOS/);
  });
});

describe("how to connect", () => {
  const settings = (words: string, defaultVersion: 4 | 5 = 4) =>
    connectSettings(parseClientOptions("pub", `-m 1 ${words}`.trim().split(" ")), defaultVersion, 0);

  it("takes host, port, user, password and topic out of a URL", () => {
    const options = parseClientOptions("pub", "-m 1 -L mqtt://us%40er:pa%3Ass@example:1999/a/b/c".split(" "));
    const { host, port, userName, password, tls } = connectSettings(options, 4, 0);
    assert.deepEqual(
      [host, port, userName, password, tls, options.topics],
      ["example", 1999, "us@er", "pa:ss", undefined, ["a/b/c"]],
    );
  });

  it("uses port 8883 and the system's certificates for mqtts://", () => {
    const { port, tls } = settings("-L mqtts://example/x");
    assert.deepEqual([port, tls], [8883, { osCertificates: true }]);
  });

  it("switches TLS on for port 8883 alone", () => {
    assert.deepEqual(settings("-t x -p 8883").tls, { osCertificates: true });
  });

  it("takes an IPv6 host out of its brackets", () => assert.equal(settings("-L mqtt://[::1]/x").host, "::1"));

  it("leaves the path of a WebSocket URL to the broker", () => {
    assert.equal(settings("-t x -L ws://u:p@example:8083/mqtt").webSocketUrl, "ws://example:8083/mqtt");
  });

  it("speaks 3.1.1 unless told otherwise, and 5.0 where there are properties", () => {
    assert.equal(settings("-t x").protocolVersion, 4);
    assert.equal(settings("-t x", 5).protocolVersion, 5);
    assert.equal(settings("-t x -V 31").protocolVersion, 3);
    assert.equal(settings("-t x -V mqttv311 -D publish content-type a").protocolVersion, 5);
  });

  it("3.1 has a client identifier of its own, from 3.1.1 on the broker chooses", () => {
    assert.match(settings("-t x -V 31").clientId, /^mqtt-broker-[0-9a-f]{10}$/);
    assert.equal(settings("-t x").clientId, "");
    assert.equal(settings("-t x -I pre").clientId, `pre${process.pid}`);
  });

  it("3.1.1 [MQTT-3.1.2-22] sends no password without a user name, but 5.0 may", () => {
    assert.equal(settings("-t x -P secret").password, undefined);
    assert.equal(settings("-t x -P secret -V 5").password, "secret");
  });

  it("a kept session never expires unless -x says so", () => {
    const expiry = (words: string) => settings(`-t x ${words}`.trim()).properties.connect.sessionExpiryInterval;
    assert.deepEqual(["", "-c -i a", "-c -i a -x 5", "-x -1", "-x ∞", "-x 0"].map(expiry), [
      undefined,
      0xffff_ffff,
      5,
      0xffff_ffff,
      0xffff_ffff,
      0,
    ]);
  });

  it("takes --name=VALUE too", () => {
    const options = parseClientOptions("pub", ["--topic=a=b", "--message=", "--qos=1"]);
    assert.deepEqual([options.topics, options.source, options.qos], [["a=b"], { from: "text", text: "" }, 1]);
  });

  it("gathers the properties of each packet", () => {
    const words = "-D CONNECT receive-maximum 7 -D publish user-property a b -D publish user-property a c";
    const { properties } = settings(`-t x ${words} -D will will-delay-interval 3 -D publish correlation-data é`);
    assert.deepEqual(properties.connect, { receiveMaximum: 7 });
    assert.deepEqual(properties.publish, {
      userProperties: [
        ["a", "b"],
        ["a", "c"],
      ],
      correlationData: Buffer.from("é"),
    });
    assert.deepEqual(properties.will, { willDelayInterval: 3 });
  });
});
