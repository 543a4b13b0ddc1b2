import assert from "node:assert/strict";
import { hostname } from "node:os";
import { test } from "node:test";
import { headlines, load, MAIN, settingsOf } from "../config/loading.ts";

test("an upstream is none unless it is asked for, and then its clients have a part of the topics to themselves", async () => {
  const without = await settingsOf([]);
  assert.deepEqual([without.mqttSn.upstream, without.mqttSn.mountPoint], [undefined, undefined]);
  const { mqttSn, warnings } = await settingsOf(["--mqtt-sn-upstream=mqtt://broker.example.org"]);
  assert.equal(mqttSn.mountPoint, "mqtt-sn/");
  assert.deepEqual(mqttSn.upstream, {
    url: "mqtt://broker.example.org",
    userName: undefined,
    password: undefined,
    passwordFile: undefined,
    clientId: `mqtt-sn-${hostname()}`,
    ca: undefined,
    cert: undefined,
    key: undefined,
    version: 5,
  });
  assert.deepEqual(warnings, []);
});

test("options and keys of the file say the same, and paths are absolute", async () => {
  const texts = Object.fromEntries(["ca.crt", "own.crt", "own.key", "secret"].map((name) => [`/base/${name}`, "x"]));
  const fromOptions = await settingsOf(
    [
      ...["--mqtt-sn-upstream=mqtts://broker.example.org:8884", "--mqtt-sn-upstream-username=garden"],
      ...[
        "--mqtt-sn-upstream-password-file=secret",
        "--mqtt-sn-upstream-client-id=house",
        "--mqtt-sn-upstream-ca=ca.crt",
      ],
      ...["--mqtt-sn-upstream-cert=own.crt", "--mqtt-sn-upstream-key=own.key", "--mqtt-sn-upstream-version=4"],
      "--mqtt-sn-mount-point=garden/",
    ],
    texts,
  );
  const fromFile = await settingsOf([], {
    ...texts,
    [MAIN]: `{ mqttSn: { mountPoint: "garden/", upstream: {
      url: "mqtts://broker.example.org:8884", username: "garden", passwordFile: "secret", clientId: "house",
      ca: "ca.crt", cert: "own.crt", key: "own.key", version: 4,
    } } }`,
  });
  const { url, userName, clientId, version } = fromOptions.mqttSn.upstream!;
  assert.deepEqual([url, userName, clientId, version], ["mqtts://broker.example.org:8884", "garden", "house", 4]);
  for (const { mqttSn } of [fromOptions, fromFile]) {
    assert.equal(mqttSn.mountPoint, "garden/");
    const { ca, cert, key, passwordFile } = mqttSn.upstream!;
    for (const [path, name] of [
      [ca, "ca.crt"],
      [cert, "own.crt"],
      [key, "own.key"],
      [passwordFile, "secret"],
    ] as const) {
      assert.match(path!, new RegExp(`^/.*/${name.replace(".", "\\.")}$`));
    }
  }
  const { ca, cert, key, passwordFile, ...rest } = fromFile.mqttSn.upstream!;
  assert.deepEqual(rest, { url, userName, clientId, version, password: undefined });
});

test("user and password of the URL are taken out of it", async () => {
  const { mqttSn } = await settingsOf(["--mqtt-sn-upstream=wss://garden:a%2Fb@broker.example.org/ws"]);
  const { url, userName, password } = mqttSn.upstream!;
  assert.deepEqual([url, userName, password], ["wss://broker.example.org/ws", "garden", "a/b"]);
});

test("what cannot be is refused where it stands, without the URL and its password", async () => {
  const texts = { "/base/a.crt": "x", "/base/ca.crt": "x", "/base/x": "x" };
  const lines = async (...words: string[]): Promise<string[]> => headlines(await load(words, texts));
  assert.deepEqual(await lines("--mqtt-sn-upstream=mqtt://host", "--mqtt-sn-upstream-password-file=none"), [
    "--mqtt-sn-upstream-password-file: /base/none does not exist",
  ]);
  assert.deepEqual(await lines("--mqtt-sn-upstream=http://u:secret@host"), [
    "--mqtt-sn-upstream: is no URL of a broker",
  ]);
  assert.deepEqual(await lines("--mqtt-sn-upstream=mqtt://host/path"), [
    "--mqtt-sn-upstream: names more than a host and a port, and there is nothing more",
  ]);
  assert.deepEqual(await lines("--mqtt-sn-upstream=mqtts://host", "--mqtt-sn-upstream-cert=a.crt"), [
    "--mqtt-sn-upstream-cert: a certificate and its key go together: --mqtt-sn-upstream-key is missing",
  ]);
  assert.deepEqual(await lines("--mqtt-sn-upstream=mqtt://host", "--mqtt-sn-upstream-ca=ca.crt"), [
    "warning: --mqtt-sn-upstream-ca: not used, since the URL of the upstream is not mqtts://",
  ]);
  assert.deepEqual(await lines("--mqtt-sn-upstream-username=garden"), [
    "warning: --mqtt-sn-upstream-username: not used, since there is no --mqtt-sn-upstream",
  ]);
  assert.deepEqual(
    await lines("--mqtt-sn-upstream=mqtt://host", "--mqtt-sn-upstream-version=4", "--mqtt-sn-upstream-password-file=x"),
    [
      "--mqtt-sn-upstream-password-file: MQTT 3.1.1 has no password without a user name: give --mqtt-sn-upstream-username",
    ],
  );
  assert.deepEqual(await lines("--mqtt-sn-mount-point=a"), [
    '--mqtt-sn-mount-point: The mount point "a" must end with /, else topics beside it could be reached: "a/"',
  ]);
  assert.deepEqual(await lines("--mqtt-sn-upstream=mqtt://host", "--mqtt-sn-mount-point=%c/"), [
    '--mqtt-sn-mount-point: The mount point "%c/" is not the same for all clients, as an upstream needs it',
  ]);
  const { problems } = await load([], { [MAIN]: '{\n  mqttSn: { upstream: { url: "x" } },\n}' });
  assert.deepEqual(
    problems.map(({ line, column, message }) => [line, column, message]),
    [[2, 30, "is no URL of a broker"]],
  );
});
