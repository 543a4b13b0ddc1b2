import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { suite, test } from "node:test";
import { dial, RawClient } from "../support/raw-client.ts";
import { allow, credentials, deny, openStage, rulesFor } from "./auth-stage.ts";

const NOT_AUTHORIZED = 0x87;
const READ_AGAIN = /auth\.json5 read again/;
const ANYTHING = allow("#", "sub pub");
const SECRET = "a secret of more than thirty-two bytes, as it should be";

function withUsers(entries: readonly string[], text: string): string {
  return text.replace(
    "authentication: [\n",
    `authentication: [\n${entries.map((entry) => `    ${entry},\n`).join("")}`,
  );
}

function token(claims: Readonly<Record<string, unknown>>, secret = SECRET, alg = "HS256"): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part({ alg, typ: "JWT" })}.${part(claims)}`;
  return `${signed}.${alg === "none" ? "" : createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds;

suite("what ends while a client is connected", { concurrency: 4 }, () => {
  test("an entry that expires ends its connections, a rule that expires its verdicts", async (context) => {
    // Late enough for the broker to start and both to log in, and soon enough for what waits five seconds for it.
    const soon = new Date(Date.now() + 5_500).toISOString();
    const guest = `{ name: "guest", method: "plain_password", password: "guest", expires: "${soon}" }`;
    const rules = [ANYTHING, deny("a", "pub", "kim"), allow("a", "pub", "kim", `, expires: "${soon}"`)];
    const stage = await openStage(context, withUsers([guest], rulesFor("kim", rules)));
    const [kim, visitor] = [await stage.as("kim"), await stage.as("guest")];
    assert.equal(await kim.publish("a", "", { qos: 1 }), 0x10);
    await visitor.expectDisconnect(NOT_AUTHORIZED);
    assert.ok(Date.now() >= Date.parse(soon));
    assert.equal(await kim.publish("a", "", { qos: 1 }), NOT_AUTHORIZED);
    await (await dial(stage.port, { username: "guest", password: "guest" })).expectConnackRefusal(NOT_AUTHORIZED);
  });

  test("a token that expires ends its connection, and no other opens one", async (context) => {
    const taker = `{ name: "*", method: "jwt", key: "${SECRET}", audience: "broker", claims: { groups: "roles" } }`;
    const rules = rulesFor("kim", [
      allow("own/%u", "sub pub"),
      deny("#", "pub", "@staff"),
      allow("staff/#", "sub pub", "@staff"),
    ]);
    const text = withUsers([taker], rules).replace(
      "authorization:",
      'group: [{ name: "@staff", members: [] }],\n  authorization:',
    );
    const stage = await openStage(context, text, { words: ["--limit", "loginDelay=0"] });
    const holds = { aud: "broker", sub: "mia", roles: ["staff"], exp: inSeconds(60) };
    const mia = await stage.as("mia", { password: token(holds) });
    assert.equal(await mia.publish("staff/a", "", { qos: 1 }), 0x10);
    assert.equal(await mia.publish("own/mia", "", { qos: 1 }), NOT_AUTHORIZED);
    // Five seconds are granted to clocks that differ.
    const short = await stage.as("zoe", { password: token({ aud: "broker", sub: "zoe", exp: inSeconds(-3) }) });
    assert.equal(await short.publish("own/zoe", "", { qos: 1 }), 0x10);
    const refused: [string, string | undefined][] = [
      [token({ ...holds, exp: inSeconds(-6) }), "mia"],
      [token({ ...holds, nbf: inSeconds(30) }), "mia"],
      [token({ ...holds, aud: "another" }), "mia"],
      [token({ ...holds, aud: undefined }), "mia"],
      [token(holds, `${SECRET}!`), "mia"],
      [token(holds, SECRET, "none"), "mia"],
      [token(holds), "zoe"],
      [token({ ...holds, sub: "kim" }), "kim"],
      [token({ ...holds, sub: "kim" }), undefined],
      [token({ ...holds, sub: "@staff" }), undefined],
      [token({ ...holds, sub: "*" }), "*"],
      [token({ ...holds, sub: "" }), undefined],
      [token({ ...holds, sub: "a\u0000b" }), undefined],
      [token({ ...holds, sub: ["mia"] }), "mia"],
      [token({ ...holds, exp: "soon" }), "mia"],
      [token({ ...holds, padding: "x".repeat(9_000) }), "mia"],
    ];
    for (const [password, username] of refused) {
      const client = await RawClient.open(stage.port);
      client.sendBytes(credentials(5, username, password));
      await client.expectConnackRefusal(NOT_AUTHORIZED);
    }
    await short.expectDisconnect(NOT_AUTHORIZED);
    assert.equal(await mia.publish("staff/a", "", { qos: 1 }), 0x10);
    // Another key: nobody's token is right any more.
    await stage.after(() => stage.put(text.replace(SECRET, `${SECRET}!`)), READ_AGAIN);
    await mia.expectDisconnect(NOT_AUTHORIZED);
    for (const [password] of refused) assert.ok(!stage.program.stdout.includes(password.slice(-20)));
  });

  for (const choice of ["disconnect", "filter"] as const) {
    test(`whenRevoked: "${choice}" does what it says to users, subscriptions and wills`, async (context) => {
      const more = `whenRevoked: "${choice}", explainToClients: true,`;
      const stage = await openStage(context, rulesFor("kim lee mia", [ANYTHING], more));
      const will = { topic: "will", payload: "x", qos: 1 as const };
      const [kim, old] = [await stage.as("kim", { will }), await stage.as("kim", { version: 4 })];
      const lee = await stage.as("lee");
      const mia = await stage.as("mia");
      for (const client of [kim, old, lee]) await client.subscribe("closed/#", { qos: 1 });
      await mia.subscribe("will", { qos: 1 });
      // Kim is gone, and lee may not hear what he subscribed to.
      await stage.after(
        () => stage.put(rulesFor("lee mia", [ANYTHING, deny("closed/#", "sub pub", "lee")], more)),
        READ_AGAIN,
      );
      if (choice === "disconnect") {
        await kim.expectDisconnect(NOT_AUTHORIZED);
        await old.expectClose();
        const { properties } = await lee.expectDisconnect(0x98);
        assert.match(String(properties.reasonString), /no longer allowed to subscribe to closed\/#/);
      } else {
        await mia.publish("closed/a", "x", { qos: 1 });
        for (const client of [kim, old, lee]) await client.expectNothing();
        for (const client of [kim, lee])
          assert.equal(await client.publish("closed/a", "x", { qos: 1 }), NOT_AUTHORIZED);
        assert.equal(await old.publish("any", "x", { qos: 1 }), 0);
        assert.deepEqual(await kim.subscribe("any"), [NOT_AUTHORIZED]);
        await kim.drop();
      }
      // In neither case what kim left behind is published.
      await mia.expectNothing();
      await stage.after(() => stage.put(rulesFor("kim lee mia", [ANYTHING], more)), READ_AGAIN);
      const again = await stage.as("kim");
      assert.equal(await again.publish("closed/a", "x", { qos: 1 }), choice === "disconnect" ? 0x10 : 0);
    });
  }

  test("5.0 clients are told the rule that refuses them only where the file says so", async (context) => {
    const rules = [ANYTHING, deny("closed/#", "sub pub", "kim")];
    const stage = await openStage(context, rulesFor("kim", rules));
    const kim = await stage.as("kim");
    const ask = async (): Promise<unknown[]> => {
      kim.send({ cmd: "publish", topic: "closed/a", payload: "", qos: 1, messageId: 1 } as never);
      const puback = await kim.expect("puback", { reasonCode: NOT_AUTHORIZED });
      kim.send({ cmd: "subscribe", messageId: 2, subscriptions: [{ topic: "closed/#", qos: 0 }] } as never);
      const suback = await kim.expect("suback", { granted: [NOT_AUTHORIZED] });
      return [puback.properties.reasonString, suback.properties.reasonString];
    };
    assert.deepEqual(await ask(), [undefined, undefined]);
    await stage.after(() => stage.put(rulesFor("kim", rules, "explainToClients: true,")), READ_AGAIN);
    const place = "auth.json5:7:5: rule 2 denies";
    assert.deepEqual(await ask(), [`${place} closed/# to kim`, `${place} closed/# to kim`]);
  });
});
