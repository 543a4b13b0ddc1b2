import { suite } from "node:test";
import type { Peer } from "../../../src/core/ports.ts";
import { NOW_MS, plain, table, user } from "./users-kit.ts";

const HOW = "mqtt-broker passwd add NAME makes a user, --allow-anonymous opens to everybody";

function proved(pskIdentity: string): Partial<Peer> {
  return { transport: "tls", pskIdentity };
}

suite("by a proved key", () => {
  const entries = [
    user("sensor-1", "psk"),
    user("pump", "psk", { identity: "device 7" }),
    user("old", "psk", { expiresMs: NOW_MS - 1, line: 9 }),
    user("box", "client_cert"),
    plain("admin", "right", { line: 3 }),
    user("guest", "anonymous"),
  ];

  suite("of listed users", () => {
    table(entries, [
      ["by the name", { peer: proved("sensor-1") }, "sensor-1"],
      ["by the identity of the entry", { peer: proved("device 7") }, "pump"],
      ["the name of an entry with an identity is nobody's", { peer: proved("pump") }, "guest (nobody's)"],
      ["an identity that nobody has is anonymous", { peer: proved("stranger") }, "guest (nobody's)"],
      ["so is the name of a user who has another method", { peer: proved("admin") }, "guest (nobody's)"],
      ["and that of a certificate", { peer: proved("box") }, "guest (nobody's)"],
      [
        "of an entry that has expired",
        { peer: proved("old") },
        "no: the entry of user old expired at 2026-11-21T11:59:59.999Z (auth.json5:9:5): a later expires lets it in again",
      ],
      ["with the same user name and any password", { peer: proved("device 7"), user: "pump", password: "x" }, "pump"],
      [
        "with other credentials that are right",
        { peer: proved("sensor-1"), user: "admin", password: "right" },
        "admin",
      ],
      [
        "with other credentials that are wrong",
        { peer: proved("sensor-1"), user: "admin", password: "x" },
        "try: wrong password for user admin (auth.json5:3:5): mqtt-broker passwd add admin gives a new one",
      ],
      [
        "without one, the name is a user's like any other",
        { user: "sensor-1", password: "x" },
        "try: user sensor-1 logs in by the method psk, not with a password (auth.json5:7:5)",
      ],
    ]);
  });

  suite("under its own name", () => {
    const wild = user("*", "psk", { clientIds: ["c*"] });
    const all = [...entries, wild].filter(({ method }) => method !== "anonymous");
    const because = `no: no credentials, and no entry of auth.json5 has the method anonymous: ${HOW}; its key is that of the identity`;
    table(all, [
      ["whatever it is", { peer: proved("stranger") }, "stranger"],
      ["a listed user is who the entry says", { peer: proved("device 7") }, "pump"],
      [
        "as a user who has another method",
        { peer: proved("admin") },
        `${because} admin, which is listed with the method plain_password`,
      ],
      [
        "as the name of an entry with an identity",
        { peer: proved("pump") },
        `${because} pump, which is listed with the method psk`,
      ],
      ["as a group", { peer: proved("@staff") }, `${because} @staff, which is no user name`],
      ["as everybody", { peer: proved("*") }, `${because} "*", which is no user name`],
    ]);
    table(
      [user("sensor-1", "psk")],
      [["where nobody is let in so", { peer: proved("x") }, `${because} x, which no entry with the method psk has`]],
    );
  });
});
