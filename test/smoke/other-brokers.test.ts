/** The command lines of absmach/mqtt, of mosquitto, and of mochi's cmd/main.go and cmd/docker/main.go. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { isRefused, works } from "./command-line.ts";
import { emptyFolder, runProgram } from "./program.ts";

suite("absmach/mqtt", { concurrency: 4 }, () => {
  works({ commandLine: "--addr :1883 --log debug" });
  works({ commandLine: "--addr :1883 --log info" });
  works({ commandLine: "-addr :1883 -log info" });
  works({ commandLine: "--addr 127.0.0.1:1883" });
  works({ commandLine: "--addr [::]:1883 --addr localhost:1883", listeners: 2 });
  isRefused("--addr 1883:", ["--addr needs"]);
  isRefused("--log verbose", ["--log needs", "debug"]);
});

suite("mosquitto", { concurrency: 4 }, () => {
  isRefused("-p 1883", ["Unknown option -p", "Did you mean --tcp-port?"]);
  isRefused("-c mosquitto.conf", ["Unknown option -c", "Did you mean --config?"]);
  isRefused("-v", ["Unknown option -v", "Did you mean --log-level?"]);
});

suite("mochi", { concurrency: 4 }, () => {
  // Its options are not ours, and none of them may pass for something else.
  isRefused("-tcp :1883", ["Unknown option -tcp", "Did you mean --tcp-port?"]);
  isRefused("-ws :1882", ["Unknown option -ws", "Did you mean --ws-port?"]);
  isRefused("-info :8080", ["Unknown option -info", "mqtt-broker --help lists the options"]);
  isRefused("-tls-cert-file server.crt -tls-key-file server.key", [
    "Unknown option -tls-cert-file",
    "Unknown option -tls-key-file",
    "Did you mean --server-crt?",
    "Did you mean --server-key?",
  ]);

  for (const option of ["--config", "-config"]) {
    test(`mochi ${option} config.yaml is refused at the first key that is not ours`, async (context) => {
      const folder = emptyFolder(context);
      const text =
        'listeners:\n  - type: "tcp"\n    id: "tcp1"\n    address: ":1883"\nhooks:\n  auth:\n    allow_all: true\n';
      writeFileSync(join(folder, "config.yaml"), text);
      const { result, stdout, stderr } = await runProgram(context, [option, "config.yaml"], { cwd: folder });
      assert.equal(result.code, 2);
      assert.equal(stdout, "");
      assert.match(stderr, /config\.yaml:1:1: Unknown key "listeners": .*our own settings stand in a \.json5 file/);
      assert.match(stderr, /config\.yaml:5:1: Unknown key "hooks"/);
    });
  }

  test("mochi --config=config.json is refused at the first key that is not ours", async (context) => {
    const folder = emptyFolder(context);
    writeFileSync(join(folder, "config.json"), '{"hooks": {"auth": {"allow_all": true}}}');
    const { result, stderr } = await runProgram(context, ["--config=config.json"], { cwd: folder });
    assert.equal(result.code, 2);
    assert.match(stderr, /config\.json:1:2: Unknown key "hooks"/);
  });
});
