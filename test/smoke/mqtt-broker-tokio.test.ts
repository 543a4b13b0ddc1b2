/** The command lines and options in the README of redboltz/mqtt-broker-tokio. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite } from "node:test";
import { CertificateFolder } from "../support/certificates.ts";
import { isRefused, works } from "./command-line.ts";

suite("the command lines of mqtt-broker-tokio's README", { concurrency: 4 }, () => {
  works({ commandLine: "--tcp-port 1883" });
  works({ commandLine: "--tcp-port 1883 --mqtt-retain-support=false", connack: { retainAvailable: false } });
  works({ commandLine: "--tcp-port 1883 --mqtt-maximum-qos=1", connack: { maximumQoS: 1 } });
  works({ commandLine: "--tcp-port 1883 --mqtt-receive-maximum=100", connack: { receiveMaximum: 100 } });
  works({ commandLine: "--tcp-port 1883 --mqtt-maximum-packet-size=1048576", connack: { maximumPacketSize: 1048576 } });
  works({ commandLine: "--tcp-port 1883 --mqtt-topic-alias-maximum=10", connack: { topicAliasMaximum: 10 } });
  works({ commandLine: "--tcp-port 1883 --mqtt-auto-map-topic-alias=true" });
  works({
    commandLine: "--tcp-port 1883 --mqtt-topic-alias-maximum=10 --mqtt-auto-map-topic-alias=true",
    connack: { topicAliasMaximum: 10 },
  });
  works({ commandLine: "--tcp-port 1883 --mqtt-server-keep-alive=60", connack: { serverKeepAlive: 60 } });
  works({
    commandLine: "--tcp-port 1883 --mqtt-session-expiry-interval=300",
    connack: { sessionExpiryInterval: 300 },
  });
  works({
    commandLine:
      "--tcp-port 1883 --mqtt-retain-support=false --mqtt-shared-sub-support=false --mqtt-wc-support=false " +
      "--mqtt-maximum-qos=1 --mqtt-receive-maximum=50 --mqtt-maximum-packet-size=1048576 " +
      "--mqtt-topic-alias-maximum=10 --mqtt-auto-map-topic-alias=true --mqtt-server-keep-alive=60 " +
      "--mqtt-session-expiry-interval=300",
    connack: {
      retainAvailable: false,
      sharedSubscriptionAvailable: false,
      wildcardSubscriptionAvailable: false,
      maximumQoS: 1,
      receiveMaximum: 50,
      maximumPacketSize: 1048576,
      topicAliasMaximum: 10,
      serverKeepAlive: 60,
      sessionExpiryInterval: 300,
    },
  });

  works({ commandLine: "--tcp-port 1883 --ws-port 8080 --unix-socket mqtt.sock" });
  for (const ports of ["--tls-port 8883", "--quic-port 8883", "--tls-port 8883 --ws-port 8080 --ws-tls-port 8443"]) {
    const folder = new CertificateFolder();
    before(() => {
      folder.authority("ca");
      folder.issue("server", "ca", "localhost");
    });
    after(() => folder.remove());
    const commandLine = `--tcp-port 1883 ${ports} --server-crt server.crt --server-key server.key`;
    works({ commandLine, options: { cwd: folder.path } });
  }
  isRefused("--quic-port 8883", ["--quic-port: TLS needs a certificate: --server-crt FILE and --server-key FILE"]);
  isRefused("--tcp-port 1883 --auth-file auth.json", ["/auth.json does not exist"]);
});

suite("the auth.json of mqtt-broker-tokio", () => {
  const cwd = mkdtempSync(join(tmpdir(), "mqtt-broker-tokio-"));
  after(() => rmSync(cwd, { recursive: true }));
  writeFileSync(
    join(cwd, "auth.json"),
    `// users
    {
      "authentication": [
        { "name": "anonymous", "method": "anonymous" },
        { "name": "unauthenticated", "method": "unauthenticated" },
        /* more of them */
        { "name": "u1", "method": "plain_password", "password": "p1" }
      ],
      "group": [{ "name": "@casual", "members": ["anonymous", "unauthenticated"] }],
      "authorization": [
        { "topic": "#", "deny": { "sub": ["@any"], "pub": ["@any"] } },
        { "topic": "test/#", "allow": { "sub": ["@casual"], "pub": ["@casual"] } }
      ]
    }`,
  );
  works({ commandLine: "--tcp-port 1883 --auth-file auth.json", options: { cwd }, warns: "the password of" });
});

suite("every other option of mqtt-broker-tokio --help", { concurrency: 4 }, () => {
  for (const [commandLine, name] of [
    ["--thread-keep-alive true", "--thread-keep-alive"],
    ["--global-queue-interval 61", "--global-queue-interval"],
    ["--event-interval 31", "--event-interval"],
    ["--ep-recv-buf-size 4096", "--ep-recv-buf-size"],
    ["--socket-send-buf-size 65536", "--socket-send-buf-size"],
    ["--socket-recv-buf-size 65536", "--socket-recv-buf-size"],
  ] as const) {
    works({ commandLine: `--tcp-port 1883 ${commandLine}`, warns: `${name}: accepted without effect: ` });
  }
  works({ commandLine: "--tcp-port 1883 --max-blocking-threads 4" });
  works({ commandLine: "--tcp-port 1883 --worker-threads 4" });
  works({ commandLine: "--ws-port 8083 --tcp-port 1883 --worker-threads 2 --thread-stack-size 2097152" });
  works({ commandLine: "--tcp-port 1883 --socket-no-delay true" });
  works({ commandLine: "--tcp-port 1883 --socket-no-delay=false" });
  works({ commandLine: "--tcp-port 1883 --socket-reuseport true" });
  works({ commandLine: "--tcp-port 1883 --socket-keepalive-time 60" });
  works({ commandLine: "--tcp-port 1883 --socket-keepalive-time 0" });
  for (const level of ["info", "debug", "trace"]) works({ commandLine: `--tcp-port 1883 --log-level ${level}` });
  works({
    commandLine: "--tcp-port 1883 --mqtt-shared-sub-support=false",
    connack: { sharedSubscriptionAvailable: false },
  });
  works({
    commandLine: "--tcp-port 1883 --mqtt-sub-id-support false",
    connack: { subscriptionIdentifiersAvailable: false },
  });
  works({ commandLine: "--tcp-port 1883 --mqtt-wc-support false", connack: { wildcardSubscriptionAvailable: false } });
  works({ commandLine: "--tcp-port 1883 --mqtt-retain-support true", connack: { retainAvailable: undefined } });

  isRefused("--tcp-port 65536", ["--tcp-port needs", `not "65536"`]);
  isRefused("--mqtt-maximum-qos 3", ["--mqtt-maximum-qos needs", `not "3"`]);
  isRefused("--mqtt-receive-maximum 0", ["--mqtt-receive-maximum needs", `not "0"`]);
  isRefused("--mqtt-maximum-packet-size 4294967296", ["--mqtt-maximum-packet-size needs", `not "4294967296"`]);
  isRefused("--log-level loud", ["--log-level needs", "error, warn, info, debug"]);
  isRefused("--mqtt-retain-support=maybe", ["--mqtt-retain-support needs", "maybe"]);
});
