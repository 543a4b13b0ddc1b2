import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { connectAsync } from "mqtt";
import { readTrafficFile, TRAFFIC_FILE } from "../../src/auth/traffic/traffic-file.ts";
import { emptyFolder, runProgram, startBroker } from "../smoke/program.ts";

const AUTH = `{
  authentication: [
    { name: "anonymous", method: "anonymous", from: "local" },
    { name: "kim", method: "plain_password", password: "horse" },
  ],
  authorization: [
    { topic: "#", allow: { sub: ["@any"], pub: ["@any"] } },
  ],
}
`;

suite("a running broker", () => {
  test("records what is used, tells it while it runs and after its end, and rehearses and learns from it", async (context) => {
    const folder = emptyFolder(context);
    writeFileSync(join(folder, "auth.json5"), AUTH);
    writeFileSync(join(folder, "narrow.json5"), AUTH.replace('pub: ["@any"]', 'pub: ["anonymous"]'));
    const words = ["--tcp-port", "0", "--bind", "127.0.0.1", "--data-dir", "data"];
    const { program, port } = await startBroker(context, words, { cwd: folder });
    const url = `mqtt://127.0.0.1:${port}`;
    const kim = await connectAsync(url, { username: "kim", password: "horse", clientId: "kim-1" });
    await kim.publishAsync("home/door", "open", { qos: 1 });
    await kim.publishAsync("home/door", "shut", { qos: 1 });
    await kim.endAsync();
    const guest = await connectAsync(url, { clientId: "guest-1" });
    await guest.subscribeAsync("home/#", { qos: 1 });
    await guest.endAsync();
    await assert.rejects(connectAsync(url, { username: "kim", password: "cow", reconnectPeriod: 0 }));

    const at = ["--data-dir", "data"];
    const rehearsed = await runProgram(context, ["check", "--against-traffic", "narrow.json5", ...at], { cwd: folder });
    assert.equal(rehearsed.result.code, 1, rehearsed.stdout + rehearsed.stderr);
    assert.match(
      rehearsed.stdout,
      /Newly denied:\n {2}"kim"\n {4}no rule allows it\n {6}publish "home\/door", client "kim-1"/,
    );
    assert.match((await runProgram(context, ["banned", ...at], { cwd: folder })).stdout, /^No address is banned\n$/);

    assert.equal(existsSync(join(folder, "data", TRAFFIC_FILE)), false);
    assert.equal((await program.stop()).code, 0);
    assert.equal(existsSync(join(folder, "data", "control.sock")), false);
    const kept = readTrafficFile(join(folder, "data", TRAFFIC_FILE))!;
    assert.deepEqual(
      kept.uses
        .map(({ name, clientId, operation, topic, allowed }) => [name, clientId, operation, topic, allowed])
        .sort(),
      [
        ["anonymous", "guest-1", "subscribe", "home/#", true],
        ["kim", "kim-1", "publish", "home/door", true],
      ],
    );
    assert.deepEqual(
      kept.refusals.map(({ userName }) => userName),
      ["kim"],
    );
    const text = readFileSync(join(folder, "data", TRAFFIC_FILE), "utf8");
    for (const secret of ["horse", "cow", "open", "shut"]) assert.equal(text.includes(secret), false, secret);

    const learned = await runProgram(context, ["auth", "learn", "--output", "learned.json5", ...at], { cwd: folder });
    assert.equal(learned.result.code, 0, learned.stderr);
    const again = await runProgram(context, ["check", "--against-traffic", "learned.json5", ...at], { cwd: folder });
    assert.equal(again.result.code, 0, again.stdout);
  });

  test("a broker that keeps nothing says nothing of a control socket, and its commands say that none is there", async (context) => {
    const { program } = await startBroker(context, ["--tcp-port", "0", "--bind", "127.0.0.1", "--store", "memory"]);
    assert.equal(
      program.lines.some(({ message }) => /control socket/i.test(message)),
      false,
    );
    const { result, stderr } = await runProgram(context, ["banned", "--data-dir", "data"], { cwd: program.cwd });
    assert.equal(result.code, 1);
    assert.match(stderr, /^No broker runs with the data folder /);
  });
});
