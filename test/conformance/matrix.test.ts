import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { citations, citedIn, judge, statements, summary, VERSIONS } from "./matrix.ts";

const cited = citations(join(import.meta.dirname, ".."));
/** As many as Appendix B of each specification has. */
const COUNTS = { "5.0": 251, "3.1.1": 141 } as const;

for (const version of VERSIONS) {
  test(`each statement of ${version} is listed once, with its section and who it binds`, () => {
    const listed = statements(version);
    assert.equal(listed.length, COUNTS[version]);
    assert.equal(new Set(listed.map(({ id }) => id)).size, listed.length);
    for (const { id, section, text, actor, state, why } of listed) {
      assert.match(id, /^MQTT-\d+\.\d+\.\d+-\d+$/);
      assert.equal(section.split(" ")[0], id.replace(/^MQTT-|-\d+$/g, ""), `${id}: section`);
      assert.match(text, /^\S.+\.$/, `${id}: text`);
      assert.ok(["server", "client", "both", "none"].includes(actor), `${id}: actor`);
      assert.equal(why !== undefined, state !== undefined, `${id}: a state needs its reason, and only a state does`);
    }
  });

  test(`each statement of ${version} is tested, or it is said why not`, (context) => {
    const judged = judge(version, cited);
    context.diagnostic(summary(version, judged));
    const open = judged.filter(({ verdict }) => verdict === "open").map(({ id, text }) => `${id} ${text}`);
    assert.deepEqual(open, [], "Write a test whose name cites the statement, or give it a state and the reason");
  });
}

test("test names cite only statements that exist", () => {
  const known = new Set(VERSIONS.flatMap((version) => statements(version).map(({ id }) => `${version} ${id}`)));
  const unknown = [...cited].filter(([id]) => !known.has(id)).map(([id, files]) => `${id} in ${[...files].join(", ")}`);
  assert.deepEqual(unknown, []);
});

test("a version counts for all the brackets that follow it, and comments count for nothing", () => {
  // Built from pieces, so that this file cites nothing itself.
  const id = (number: string) => `[MQTT-${number}]`;
  const [five, three] = VERSIONS;
  const source = [
    `test("${five} ${id("1.1.1-1")} ${id("1.1.1-2")}, ${three} ${id("2.2.2-2")} does", () => {});`,
    `// test("${five} ${id("9.9.9-9")} does not")`,
    `/* ${five} ${id("9.9.9-8")} */`,
  ].join("\n");
  assert.deepEqual(citedIn(source), [`${five} MQTT-1.1.1-1`, `${five} MQTT-1.1.1-2`, `${three} MQTT-2.2.2-2`]);
});
