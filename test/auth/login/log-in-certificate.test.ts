import { suite } from "node:test";
import { certificate, NOW_MS, plain, table, user } from "./users-kit.ts";

const HOW = "mqtt-broker passwd add NAME makes a user, --allow-anonymous opens to everybody";

suite("by certificate", () => {
  const entries = [
    user("box", "client_cert"),
    user("sensor-1.local", "client_cert", { verifyField: "DNS" }),
    user("urn:device:7", "client_cert", { verifyField: "subjectAltName" }),
    user("old", "client_cert", { expiresMs: NOW_MS - 1, line: 9 }),
    plain("admin", "right", { line: 3 }),
    user("guest", "anonymous"),
  ];
  const isNobody = "no entry with the method client_cert has";

  suite("of listed users", () => {
    table(entries, [
      ["by common name", { peer: certificate("box") }, "box"],
      ["by DNS name", { peer: certificate("x", "DNS:other", "DNS:sensor-1.local") }, "sensor-1.local"],
      ["by another kind of name than the entry's", { peer: certificate("sensor-1.local") }, "guest (nobody's)"],
      ["by any alternative name", { peer: certificate("x", "URI:urn:device:7") }, "urn:device:7"],
      ["the common name comes first", { peer: certificate("box", "DNS:sensor-1.local") }, "box"],
      ["a name that nobody has is anonymous", { peer: certificate("stranger") }, "guest (nobody's)"],
      ["so is a user's who has another method", { peer: certificate("admin") }, "guest (nobody's)"],
      [
        "of an entry that has expired",
        { peer: certificate("old") },
        "no: the entry of user old expired at 2026-11-21T11:59:59.999Z (auth.json5:9:5): a later expires lets it in again",
      ],
      ["with the same user name", { peer: certificate("box"), user: "box" }, "box"],
      ["with the same user name and any password", { peer: certificate("box"), user: "box", password: "x" }, "box"],
      [
        "with other credentials that are right",
        { peer: certificate("box"), user: "admin", password: "right" },
        "admin",
      ],
      [
        "with other credentials that are wrong",
        { peer: certificate("box"), user: "admin", password: "x" },
        "try: wrong password for user admin (auth.json5:3:5): mqtt-broker passwd add admin gives a new one",
      ],
      [
        "without one, the name is a user's like any other",
        { user: "box", password: "x" },
        "try: user box logs in by the method client_cert, not with a password (auth.json5:7:5)",
      ],
    ]);
  });

  suite("under its own name", () => {
    const wild = user("*", "client_cert", { clientIds: ["c*"] });
    const all = [...entries, wild].filter(({ method }) => method !== "anonymous");
    const noAnonymous = `no: no credentials, and no entry of auth.json5 has the method anonymous: ${HOW}; its certificate says CN`;
    table(all, [
      ["by common name", { peer: certificate("stranger") }, "stranger"],
      ["a listed user is who the entry says", { peer: certificate("box") }, "box"],
      [
        "as a user who has another method",
        { peer: certificate("admin") },
        `${noAnonymous} admin, which is listed with the method plain_password`,
      ],
      ["as a group", { peer: certificate("@admins") }, `${noAnonymous} @admins, which is no user name`],
      ["as everybody", { peer: certificate("*") }, `${noAnonymous} "*", which is no user name`],
      ["a name with U+0000", { peer: certificate("a\0b") }, `${noAnonymous} "a\\u0000b", which is no user name`],
      [
        "a listed user who has expired is not let in by it",
        { peer: certificate("old") },
        "no: the entry of user old expired at 2026-11-21T11:59:59.999Z (auth.json5:9:5): a later expires lets it in again",
      ],
      [
        "when a condition does not hold",
        { peer: certificate("stranger"), id: "d1" },
        "no: user stranger may not connect as client d1, only as c* (auth.json5:7:5)",
      ],
      [
        "without a common name",
        { peer: certificate("", "DNS:a") },
        `${noAnonymous.replace("says CN", "says DNS a")}, which ${isNobody}`,
      ],
      ["without any name", { peer: certificate("") }, noAnonymous.replace("says CN", "has no name")],
    ]);
    table(
      [user("*", "client_cert", { verifyField: "email" })],
      [["by another field", { peer: certificate("x", "DNS:a", "email:kim@example.org") }, "kim@example.org"]],
    );
  });
});
