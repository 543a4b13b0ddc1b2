import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { BrokerName } from "./brokers.ts";
import { type Sample, SCENARIOS, type Target } from "./scenarios.ts";
import { type Column, ceilingNotes, cellOf, format, type Row, renderTable, rowsOf, type Samples } from "./table.ts";

const fanIn = SCENARIOS.find(({ name }) => name === "fan-in")!;

function sample(messages: number): Sample {
  return { values: { messages, "per CPU-second": messages * 2, "generator CPU": 40 }, faults: {}, waited: 0 };
}

function samplesOf(messages: Partial<Record<BrokerName, number[]>>): Samples {
  const byBroker = Object.entries(messages).map(([name, list]) => [name as BrokerName, list.map(sample)] as const);
  return new Map([[fanIn.name, new Map(byBroker)]]);
}

function rowWith(target: Target, ours: number, mosquitto: number): Row {
  const scenario = { ...fanIn, figures: [{ name: "messages", unit: "per second" as const, target }] };
  return rowsOf([scenario], samplesOf({ ours: [ours], mosquitto: [mosquitto] }))[0]!;
}

describe("the table of the bench", () => {
  it("takes the median of an odd and of an even number of rounds", () => {
    assert.deepEqual(cellOf([3, 1, 2]), { median: 2, min: 1, max: 3 });
    assert.deepEqual(cellOf([4, 1, 2, 3]), { median: 2.5, min: 1, max: 4 });
  });

  it("divides our median by Mosquitto's", () => {
    const [row] = rowsOf([fanIn], samplesOf({ ours: [900, 300, 600], mosquitto: [100, 200, 300] }));
    assert.equal(row!.ratio, 3);
    assert.equal(row!.met, true);
    assert.equal(row!.target, ">= 3x");
  });

  it("meets a target that is reached exactly, and no other", () => {
    assert.equal(rowWith({ kind: "ratio at least", value: 3 }, 300, 100).met, true);
    assert.equal(rowWith({ kind: "ratio at least", value: 3 }, 299, 100).met, false);
    assert.equal(rowWith({ kind: "ratio at most", value: 1.3 }, 131, 100).met, false);
    assert.equal(rowWith({ kind: "at most", value: 70 }, 70, 1).met, true);
    assert.equal(rowWith({ kind: "at least", value: 10_000 }, 9_999, 1).met, false);
  });

  it("compares with the column that a scenario names, and before it with the one that a figure names", () => {
    const target: Target = { kind: "ratio at least", value: 0.4 };
    const figures = [
      { name: "messages", unit: "per second" as const },
      { name: "per CPU-second", unit: "per second" as const, target, against: "ours-memory" as const },
    ];
    const samples: Samples = new Map([
      [
        "stored",
        new Map<Column, Sample[]>([
          ["ours", [sample(600)]],
          ["ours-memory", [sample(2000)]],
          ["mosquitto-2.1", [sample(200)]],
        ]),
      ],
    ]);
    const rows = rowsOf([{ name: "stored", title: "stored", figures, against: "mosquitto-2.1" }], samples);
    assert.deepEqual(
      rows.map(({ ratio, target, met }) => ({ ratio, target, met })),
      [
        { ratio: 3, target: undefined, met: undefined },
        { ratio: 0.3, target: ">= 0.4x ours-memory", met: false },
      ],
    );
  });

  it("judges no ratio without Mosquitto", () => {
    const [row] = rowsOf([fanIn], samplesOf({ ours: [900] }));
    assert.equal(row!.ratio, undefined);
    assert.equal(row!.met, undefined);
  });

  it("says when the sink is not twice as fast as the best broker", () => {
    const notes = (sink: number): string[] => {
      const samples = samplesOf({ ours: [500], mosquitto: [100], sink: [sink] });
      return ceilingNotes(rowsOf([fanIn], samples), samples, [fanIn]);
    };
    assert.deepEqual(notes(1000), []);
    assert.deepEqual(notes(900), [
      "fan-in, 100 -> 1: the sink is only 1.80 times as fast as ours, with which the generator was 40 % busy",
    ]);
  });

  it("writes large rates in thousands", () => {
    assert.equal(format(1_234_567, "per second"), "1,235k");
    assert.equal(format(9_999, "per second"), "9,999");
    assert.equal(format(6_400, "bytes"), "6,400");
    assert.equal(format(8.94, "MB"), "8.9");
  });

  it("aligns its columns and shows the spread", () => {
    const rows = rowsOf([fanIn], samplesOf({ ours: [30_000, 10_000, 20_000], mosquitto: [5_000] }));
    assert.equal(
      renderTable(rows, ["ours", "mosquitto"]),
      [
        "                                            ours  mosquitto  ratio  target",
        "fan-in, 100 -> 1  messages        20k (10k..30k)      5,000  4.00x  >= 3x met",
        "                  per CPU-second  40k (20k..60k)        10k  4.00x",
      ].join("\n"),
    );
  });
});
