import assert from "node:assert/strict";
import { test } from "node:test";
import { OWN_LIMITS } from "../../src/config/entrance.ts";
import { ENTRANCE_LIMITS, ENTRANCE_OPTIONS } from "../../src/core/entrance.ts";
import { formatProblem } from "../../src/text/problem.ts";
import { headlines, load, MAIN, settingsOf } from "./loading.ts";

const inFile = (entry: string): Record<string, string> => ({ [MAIN]: `{ listeners: [${entry}] }` });

test("what a listener asks of its clients, of every type and in the units of people", async () => {
  const asks = `versions: ["3.1.1", "5.0"], authMethods: ["scrypt", "client_cert"], mountPoint: "plant1/%c/",
    limits: { clients: 10, addressConnections: 2, clientBytesPerSecond: "1KiB", maximumPacketSize: "64KiB",
      maximumQos: 1, keepAliveMax: "2m" }`;
  const entrance = {
    versions: [4, 5],
    authMethods: ["scrypt", "client_cert"],
    mountPoint: "plant1/%c/",
    limits: {
      clients: 10,
      addressConnections: 2,
      clientBytesPerSecond: 1024,
      maximumPacketSize: 65_536,
      maximumQos: 1,
      keepAliveMax: 120,
    },
  };
  for (const type of ['type: "tcp"', 'type: "ws"', 'type: "unix", path: "a.sock"', 'type: "fd", fd: 3']) {
    const { listeners } = await settingsOf([], inFile(`{ ${type}, ${asks} }, { port: 1 }`));
    assert.deepEqual(listeners[0]!.entrance, entrance, type);
    assert.equal("entrance" in listeners[1]!, false);
  }
});

test("every limit that a listener can have is a key of its own", () => {
  assert.deepEqual([...OWN_LIMITS.keys()], [...ENTRANCE_LIMITS, ...Object.keys(ENTRANCE_OPTIONS)]);
});

for (const [entry, problem] of [
  ['{ versions: ["3.1.2"] }', '1:28: listeners[0].versions[0] must be one of 3.1, 3.1.1, 5.0, not "3.1.2"'],
  ["{ versions: [5] }", "1:28: listeners[0].versions[0] must be one of 3.1, 3.1.1, 5.0, not 5"],
  ['{ versions: "5.0" }', '1:27: listeners[0].versions must be a list in square brackets, not "5.0"'],
  ["{ versions: [] }", "1:27: listeners[0].versions is empty: nobody could connect"],
  ["{ authMethods: [] }", "1:30: listeners[0].authMethods is empty: nobody could connect"],
  [
    '{ mountPoint: "plant1" }',
    '1:15: The mountPoint "plant1" must end with /, else topics beside it could be reached: "plant1/"',
  ],
  ['{ mountPoint: "$SYS/" }', '1:15: The mountPoint "$SYS/" begins with $: such topics are the broker\'s own'],
  ['{ mountPoint: "+/" }', '1:15: The mountPoint "+/" has +, # or a null character, which no Topic Name has'],
  ["{ limits: 5 }", "1:25: listeners[0].limits must be an object in braces, not 5"],
  ["{ limits: { maximumQos: 3 } }", "1:39: listeners[0].limits.maximumQos must be a whole number from 0 to 2, not 3"],
  ["{ limits: { client: 3 } }", '1:27: Unknown key "client"'],
  ["{ limits: { sessions: 3 } }", '1:27: Unknown key "sessions"'],
  ['{ mountpoint: "a/" }', '1:17: Unknown key "mountpoint"'],
] as const) {
  test(`${entry}: ${problem}`, async () => {
    assert.deepEqual(headlines(await load([], inFile(entry))), [`mqtt-broker.json5:${problem}`]);
  });
}

test("a method that does not exist is refused with those that do", async () => {
  const [problem] = (await load([], inFile('{ authMethods: ["password"] }'))).problems;
  assert.match(
    problem!.message,
    /must be one of sha256, plain_password, scrypt, .*, anonymous, unauthenticated, not "password"$/,
  );
});

test("a limit of the whole broker is told where it belongs", async () => {
  const { problems } = await load([], inFile("{ limits: { topicLevels: 3 } }"));
  assert.match(formatProblem(problems[0]!), /Did you mean "limits\.topicLevels"\?/);
});
