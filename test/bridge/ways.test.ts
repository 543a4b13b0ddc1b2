/** The ways to another broker, which is one of ours here: TLS, WebSocket and both, by a name and by a certificate. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { startBroker } from "../smoke/program.ts";
import { CertificateFolder } from "../support/certificates.ts";
import { connected, joinDevice, startOurs, subscribe, until, watch } from "./kit.ts";

const files = new CertificateFolder();
for (const name of ["ca", "stranger"]) files.authority(name);
files.issue("server", "ca", "localhost", "DNS:localhost");
files.issue("client", "ca", "garden");
after(() => files.remove());

const TLS = ["crt", "key"].map((part) => `--server-${part}=${files.file(`server.${part}`)}`);

test("ways to the other broker", { concurrency: 3 }, async (context) => {
  const { program, port } = await startBroker(context, [
    ...["--bind=127.0.0.1", "--tcp-port=0", "--tls-port=0", "--ws-port=0", "--ws-tls-port=0", ...TLS],
    ...[`--client-ca=${files.file("ca.crt")}`],
  ]);
  const portOf = async (scheme: string): Promise<string> => {
    const pattern = new RegExp(`Listening on ${scheme}://127\\.0\\.0\\.1:(\\d+)`);
    await program.saw(pattern);
    return pattern.exec(program.stdout)![1]!;
  };
  const [tls, ws, wss] = await Promise.all([portOf("tls"), portOf("ws"), portOf("wss")]);
  const own = ["cert=client.crt", "key=client.key"].map((word) => {
    const [name, file] = word.split("=") as [string, string];
    return `--mqtt-sn-upstream-${name}=${files.file(file)}`;
  });
  const secured = [...own, `--mqtt-sn-upstream-ca=${files.file("ca.crt")}`];
  const tests = [
    { url: `mqtts://localhost:${tls}`, words: secured },
    { url: `ws://127.0.0.1:${ws}`, words: [] },
    { url: `wss://localhost:${wss}/mqtt`, words: secured },
  ].map(({ url, words }) =>
    context.test(`${url.split(":")[0]}: messages of any size arrive there and come from there`, async () => {
      const name = url.split(":")[0]!;
      const ours = await startOurs(context, url, [...words, `--mqtt-sn-upstream-client-id=${name}`]);
      await connected(ours);
      const there = await watch(context, port, `${name}/up/#`);
      const local = await watch(context, ours.port, `mqtt-sn/${name}/down`);
      // Lengths of WebSocket's frames are written in three ways.
      const texts = ["s", "m".repeat(300), "l".repeat(100_000)];
      for (const text of texts) await local.publish(`mqtt-sn/${name}/up/x`, text);
      assert.deepEqual(
        (await there.until(3)).map(({ length }) => length),
        texts.map((text) => `${name}/up/x ${text} qos1`.length),
      );
      const device = await joinDevice(context, name, ours);
      await subscribe(device, `${name}/down`);
      await until(async () => {
        await there.publish(`${name}/down`, "");
        return local.heard.length > 0;
      }, "a first message");
      for (const text of texts) await there.publish(`${name}/down`, text, 2);
      const last = `mqtt-sn/${name}/down ${texts[2]} qos1`;
      await until(() => local.heard.at(-1) === last, "the last message");
      assert.deepEqual(
        local.heard.slice(-3).map(({ length }) => length),
        texts.map((text) => `mqtt-sn/${name}/down ${text} qos1`.length),
      );
    }),
  );
  const refused = [
    {
      url: `mqtts://localhost:${tls}`,
      words: [...own, `--mqtt-sn-upstream-ca=${files.file("stranger.crt")}`],
      reason: /its certificate is of no authority that is trusted here.*--mqtt-sn-upstream-ca/,
    },
    { url: `mqtts://127.0.0.1:${tls}`, words: secured, reason: /its certificate is for other names/ },
    {
      url: `ws://127.0.0.1:${ws}/elsewhere`,
      words: [],
      reason: /opens no WebSocket at \/elsewhere: is that the path\?/,
    },
  ].map(({ url, words, reason }) =>
    context.test(`${reason.source} is said`, async () => {
      const ours = await startOurs(context, url, words);
      const line = await ours.program.line(/^Cannot connect with the other broker/);
      assert.match(String(line.reason), reason);
    }),
  );
  await Promise.all([...tests, ...refused]);
});
