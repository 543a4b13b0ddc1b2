import assert from "node:assert/strict";
import { test } from "node:test";
import { MOMENTS, type Moment } from "../../../src/core/hooks.ts";
import { Stage } from "../stage.ts";
import { hookAt, SCENES, type Scene } from "./moments.ts";

const scenes = Object.entries(SCENES) as [Moment, Scene][];

test("every moment is in the list and has a scene, or belongs to the host", () => {
  assert.deepEqual(MOMENTS.toSorted(), ["onStarted", "onStopped", ...scenes.map(([moment]) => moment)].toSorted());
});

for (const [moment, { options, play }] of scenes) {
  test(`${moment}: hooks are called in the order in which they were added, each once a time`, () => {
    const heard: string[] = [];
    const note = (name: string) => (): unknown => {
      heard.push(name);
      return moment.startsWith("stored") && moment !== "storedSysInfo" ? [] : undefined;
    };
    const hooks = [hookAt(moment, "first", note("first")), hookAt(moment, "second", note("second"))];
    play?.(new Stage({ ...options, hooks }));
    if (play === undefined) new Stage({ ...options, hooks });
    assert.ok(heard.length >= 2, "the moment has not come");
    assert.deepEqual(
      heard,
      heard.map((_, index) => (index % 2 === 0 ? "first" : "second")),
    );
  });
}

for (const [moment, { options, play, thrown }] of scenes) {
  test(`${moment}: a hook that throws is named in the log, and ${thrown}`, () => {
    const heard: string[] = [];
    const hooks = [
      hookAt(moment, "thrower", () => {
        throw new Error("broken in two");
      }),
      hookAt(moment, "witness", () => {
        heard.push("witness");
        return moment.startsWith("stored") && moment !== "storedSysInfo" ? [] : undefined;
      }),
    ];
    const stage = new Stage({ ...options, hooks });
    try {
      play?.(stage);
    } catch (error) {
      // The scene's client was refused: what it was told is in the tests of that moment.
      assert.ok(error instanceof assert.AssertionError);
    }
    const stored = moment.startsWith("stored");
    const [line] = stage.log.of(stored ? "A hook threw while handing over what it stored" : "A hook threw");
    assert.equal(line?.hook, "thrower");
    if (!stored) assert.equal(line?.moment, moment);
    assert.match(String(line?.reason), /^Error: broken in two\n/);
    assert.equal(heard.length > 0, thrown === "others hear");
  });
}

for (const moment of ["onDisconnect", "onPublished", "onSubscribed", "onSessionEstablished"] as const) {
  test(`${moment}: a promise that a hook leaves behind and that fails is named in the log, and nothing ends`, async () => {
    const stage = new Stage({
      hooks: [hookAt(moment, "later", () => Promise.reject(new Error("the database is away")))],
    });
    const client = stage.connect("a");
    client.subscribe("t");
    client.publish("t", "x");
    const before = client.state;
    if (moment === "onDisconnect") client.hangUp();
    await stage.settle();
    assert.equal(before, "open");
    const [line] = stage.log.of("A hook threw");
    assert.deepEqual([line?.hook, line?.moment], ["later", moment]);
  });
}

const waitless: [Moment, string[]][] = [
  ["onPublish", ['PUBACK #1 83 {"reasonString":"a hook failed"}']],
  ["onSubscribe", ["SUBACK #1 83"]],
  ["onACLCheck", ["PUBACK #1 87"]],
];
for (const [moment, lines] of waitless) {
  test(`${moment} cannot wait: a promise refuses and the hook is named`, async () => {
    const stage = new Stage({ hooks: [hookAt(moment, "late", async () => true)] });
    const client = stage.connect("a");
    if (moment === "onSubscribe") client.subscribe("t");
    else client.publish("t", "x", { qos: 1 });
    assert.deepEqual(client.take(), lines);
    await stage.settle();
    const [line] = stage.log.of("A hook threw");
    assert.deepEqual([line?.hook, line?.moment], ["late", moment]);
    assert.match(String(line?.reason), /cannot wait for a promise/);
  });
}
