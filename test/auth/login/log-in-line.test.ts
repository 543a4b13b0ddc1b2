import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { mayStill } from "../../../src/auth/login/log-in.ts";
import { Login } from "../../../src/auth/login.ts";
import type { Peer } from "../../../src/core/ports.ts";
import { clientOf, plain, table, toolsOf, user, usersOf, visit } from "./users-kit.ts";

const LINE: Partial<Peer> = { address: "/dev/ttyUSB0", line: "/dev/ttyUSB0", transport: "mqtt-sn", listener: "serial" };
const OF_GARDEN: Partial<Peer> = { ...LINE, lineUser: "garden" };

suite("a serial line whose settings name a user", () => {
  const entries = [
    plain("garden", "right", { clientIds: ["c*"] }),
    user("meter", "serial", { port: "/dev/ttyUSB0", line: 8 }),
    user("guest", "anonymous", { line: 9 }),
  ];
  table(entries, [
    ["without a name of its own", { peer: LINE }, "meter"],
    ["by whatever method that user comes in otherwise", { peer: OF_GARDEN }, "garden"],
    ["by the method serial itself", { peer: { ...LINE, lineUser: "meter" } }, "meter"],
    [
      "where a condition does not hold, nobody else comes in",
      { peer: OF_GARDEN, id: "d1" },
      "no: user garden may not connect as client d1, only as c* (auth.json5:7:5)",
    ],
    [
      "a method that does not count",
      { peer: OF_GARDEN, methods: ["serial"] },
      "no: user garden would get in by the method plain_password (auth.json5:7:5), and listener serial lets in by serial only",
    ],
    [
      "a user that is not there",
      { peer: { ...LINE, lineUser: "gardn" } },
      "no: user gardn, whose the serial line /dev/ttyUSB0 is, is not in auth.json5: mqtt-broker passwd add gardn makes this user",
    ],
  ]);

  test("an entry that has expired lets nobody in", async () => {
    const answer = await visit(usersOf([user("garden", "serial", { expiresMs: 0 })]), { peer: OF_GARDEN });
    assert.equal(answer instanceof Login, false);
  });

  test("its password may change, but it must not go", async () => {
    const before = await visit(usersOf(entries), { peer: OF_GARDEN });
    assert.ok(before instanceof Login);
    const client = clientOf({ peer: OF_GARDEN });
    const again = (...users: Parameters<typeof usersOf>[0]): string | undefined =>
      mayStill(usersOf(users), client, before, toolsOf())?.name;
    assert.equal(again(plain("garden", "another")), "garden");
    assert.equal(again(plain("gardener", "right")), undefined);
    assert.equal(again(plain("garden", "right", { clientIds: ["d*"] })), undefined);
  });
});
