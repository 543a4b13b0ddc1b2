import assert from "node:assert/strict";
import { test } from "node:test";
import { Stage } from "./stage.ts";

test("a", () => {
  const stage = new Stage();
  const a = stage.dial({ clientId: "" });
  console.log(a.take());
  const s = stage.connect("s", { version: 4 });
  s.subscribe(["a/#", "b"], 2);
  console.log(s.take());
  a.publish("a/b", "hello", {
    qos: 1,
    retain: true,
    properties: { contentType: "x", correlationData: Buffer.from("ab") },
  });
  a.publish("a/b", "hello", { qos: 2, properties: { userProperties: { a: "b" } } });
  console.log(a.take(), s.take());
  s.disconnect();
  console.log(s.state, a.state);
  a.connect();
  console.log(a.take(), a.state, stage.log.lines);
});
