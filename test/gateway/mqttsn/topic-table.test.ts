import assert from "node:assert/strict";
import { test } from "node:test";
import { TopicTable } from "../../../src/gateway/mqttsn/topic-table.ts";

const table = (max = 1000) => new TopicTable(new Map([[5, "pre/five"]]), max);

test("the number of a topic follows from its name: after a restart it is the same, in whatever order topics come", () => {
  const names = ["a", "b", "home/kitchen/temperature", "home/kitchen/humidity", "ä/ö", ""];
  const [one, other] = [table(), table()];
  const before = new Map(names.map((name) => [name, one.register(name)]));
  for (const name of names.toReversed()) assert.equal(other.register(name), before.get(name));
  assert.equal(new Set(before.values()).size, names.length);
});

test("a number of before a restart stands for its topic or for none: of 1000 pairs of other topics hardly one has it", () => {
  let same = 0;
  for (let index = 0; index < 1000; index++) {
    if (table().register(`old/${index}`) === table().register(`new/${index}`)) same++;
  }
  assert.ok(same <= 1, `${same}`);
});

test("numbers are spread: names that differ in their last character alone seldom meet", () => {
  const ids = Array.from({ length: 1000 }, (_, index) => table().register(`home/sensor/${index}`));
  // Thrown at random, 1000 numbers of 65,534 have 7.6 that meet.
  assert.ok(new Set(ids).size > 970, `${new Set(ids).size}`);
});

test("1.2 §5.3.11: every number is from 1 to 0xFFFE, there is one for each topic up to the last, and then no more", () => {
  const all = table(0xffff);
  const ids = new Set<number>();
  for (let index = 0; index < 0xfffe; index++) ids.add(all.register(`t/${index}`)!);
  assert.equal(ids.size, 0xfffe);
  assert.deepEqual([Math.min(...ids), Math.max(...ids)], [1, 0xfffe]);
});

test("when the table is full there is no number for a new topic, and the old ones hold on", () => {
  const small = table(2);
  const [one, two] = [small.register("1"), small.register("2")];
  assert.deepEqual(
    [small.register("3"), small.register("1"), small.register("2"), small.size],
    [undefined, one, two, 2],
  );
});

test("the client is told of a topic by what it knows: its number, then the predefined one, then the short name", () => {
  const topics = table();
  assert.deepEqual(topics.idOf("pre/five"), { topicIdType: 1, topicId: 5 });
  assert.deepEqual(topics.idOf("ab"), { topicIdType: 2, topicId: 0x6162 });
  assert.equal(topics.idOf("abc"), undefined);
  for (const name of ["pre/five", "ab", "abc"]) {
    const topicId = topics.register(name)!;
    topics.confirm(topicId);
    assert.deepEqual(topics.idOf(name), { topicIdType: 0, topicId });
    assert.equal(topics.nameOf(0, topicId), name);
    topics.doubt({ topicIdType: 0, topicId });
    // What the client has said itself holds on.
    assert.equal(topics.nameOf(0, topicId), name);
  }
  assert.deepEqual(topics.idOf("pre/five"), { topicIdType: 1, topicId: 5 });
  assert.equal(topics.idOf("abc"), undefined);
});

test("what the client was told is doubted at once after CONNECT, and a predefined number it refused is tried again", () => {
  const topics = table();
  topics.confirm(topics.register("abc")!);
  topics.doubt({ topicIdType: 1, topicId: 5 });
  assert.equal(topics.idOf("pre/five"), undefined);
  topics.doubtAll();
  assert.equal(topics.idOf("abc"), undefined);
  assert.deepEqual(topics.idOf("pre/five"), { topicIdType: 1, topicId: 5 });
});

test("1.2 §3: a short name is two octets of ASCII without wildcards", () => {
  const topics = table();
  assert.equal(topics.nameOf(2, 0x6162), "ab");
  for (const id of [0x2b61, 0x6123, 0x0061, 0x6100, 0xc3a4]) assert.equal(topics.nameOf(2, id), undefined);
  for (const name of ["+a", "a#", "ä1", "a", "\u{1F600}"]) assert.equal(topics.idOf(name), undefined);
});
