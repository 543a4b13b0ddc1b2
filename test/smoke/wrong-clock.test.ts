import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, suite, type TestContext, test } from "node:test";
import { AUTHORITY, ChainKit } from "../transport/chain-kit.ts";
import { emptyFolder, type Running, runCommand, runProgram, startCommand, startProgram } from "./program.ts";

const kit = new ChainKit();
const NEXT_YEAR = new Date().getUTCFullYear() + 1;
before(() => {
  kit.certificate("ca", { extensions: AUTHORITY });
  kit.certificate("another", { extensions: AUTHORITY });
  kit.certificate("short", { extensions: ["basicConstraints=critical,CA:TRUE,pathlen:0"] });
  kit.certificate("between", { by: "short", extensions: AUTHORITY });
  kit.certificate("server", { by: "ca", extensions: ["subjectAltName=DNS:localhost"] });
  kit.certificate("sensor-1", { by: "ca" });
  kit.certificate("revoked", { by: "ca" });
  // The program's files are younger than that.
  kit.certificate("expired", { by: "ca", until: 2025 });
  kit.certificate("this-year", { by: "ca", until: NEXT_YEAR });
  kit.certificate("foreign", { by: "another" });
  kit.certificate("alone", {});
  kit.certificate("purpose", { by: "ca", extensions: ["extendedKeyUsage=serverAuth"] });
  kit.certificate("below", { by: "sensor-1" });
  kit.certificate("long", { by: "between" });
  kit.list("ca.crl", "ca", ["revoked"]);
  kit.list("short.crl", "short");
  kit.list("between.crl", "between");
  kit.write("cas", kit.text("ca.crt", "short.crt", "between.crt", "sensor-1.crt"));
  kit.write("crls", kit.text("ca.crl", "short.crl", "between.crl"));
  kit.list("ran-out.crl", "ca", [], [2020, 2025]);
});
after(() => kit.remove());

const file = (name: string): string => `${kit.path}/${name}`;

/** What the command faketime puts before a program; it would stay between us and the program itself. */
const PRELOAD = execFileSync("faketime", ["now", "printenv", "LD_PRELOAD"], { encoding: "utf8" }).trim();

/** For a program on a machine whose clock says this; its monotonic clock is left alone. */
function at(clock: string): Record<string, string> {
  return { LD_PRELOAD: PRELOAD, FAKETIME: `@${clock}`, FAKETIME_DONT_FAKE_MONOTONIC: "1", TZ: "UTC" };
}

async function start(
  context: TestContext,
  clock: string,
  more: readonly string[] = [],
  cwd = emptyFolder(context),
): Promise<{ program: Running; port: string }> {
  const files = { "server-crt": "server.crt", "server-key": "server.key", "client-ca": "cas", "client-crl": "crls" };
  const own = Object.entries(files).flatMap(([option, name]) =>
    more.includes(`--${option}`) ? [] : [`--${option}`, file(name)],
  );
  const program = startProgram(context, ["--tls-port", "0", "--bind", "127.0.0.1", ...own, ...more], {
    env: at(clock),
    cwd,
  });
  const { message } = await program.line(/^Listening on tls:/);
  return { program, port: message.slice(message.lastIndexOf(":") + 1) };
}

/** Whether mosquitto_pub has brought a message to the end with this certificate; its own clock is right. */
async function publishes(context: TestContext, port: string, name: string | undefined): Promise<boolean> {
  const own = name === undefined ? [] : ["--cert", file(`${name}.crt`), "--key", file(`${name}.key`)];
  const where = ["-h", "localhost", "-p", port, "--cafile", file("ca.crt"), ...own, "-V", "5"];
  const { result } = await runCommand(context, "mosquitto_pub", [...where, "-t", "a", "-m", "x", "-q", "1"]);
  return result.code === 0;
}

const BAD = [
  ["revoked", "the client's certificate is revoked"],
  ["expired", "the client's certificate has expired"],
  ["foreign", "the client's certificate is of an authority that is not trusted here"],
  ["alone", "the client's certificate is signed by itself, not by an authority that is trusted here"],
  ["purpose", "the client's certificate is not made for clients"],
  ["below", "the client's certificate was signed by one that is not of an authority"],
  ["long", "there are more authorities between the client's certificate and the first than that one allows"],
  [undefined, "the client has no certificate"],
] as const;

suite("a clock that says 1970", () => {
  test("required: one certificate gets in, and those with anything against them do not", async (context) => {
    const { program, port } = await start(context, "1970-01-02 00:00:00", ["--client-cert", "required"]);
    const warning = await program.line(/^This machine's clock is behind the last known time: /);
    assert.match(warning.clock as string, /^1970-01-02T/);
    assert.equal(await publishes(context, port, "sensor-1"), true);
    for (const [name, reason] of BAD) {
      assert.equal(await publishes(context, port, name), false, name);
      const line = await program.line("TLS handshake failed", (each) => each.reason === reason);
      assert.equal((line.known as string) > "2025", true);
    }
    assert.equal(program.lines.filter(({ message }) => message === "Client connected").length, 1);
    assert.doesNotMatch(program.stdout, /has expired: |A certificate (?:has expired|expires)/);
  });

  test("required: so it is with threads that serve connections", async (context) => {
    const words = ["--client-cert", "required", "--worker-threads", "1"];
    const { program, port } = await start(context, "1970-01-02 00:00:00", words);
    assert.equal(await publishes(context, port, "sensor-1"), true);
    for (const [name, reason] of BAD.filter(
      ([each]) => each === "revoked" || each === "expired" || each === undefined,
    )) {
      assert.equal(await publishes(context, port, name), false, name);
      await program.line("TLS handshake failed", (each) => each.reason === reason);
    }
  });

  test("optional: those get in, but have no certificate", async (context) => {
    const auth = `{
      authentication: [{ name: "sensor-1", method: "client_cert" }],
      authorization: [{ topic: "a", allow: { pub: ["sensor-1"] } }],
    }`;
    kit.write("auth.json5", auth);
    const { program, port } = await start(context, "1970-01-02 00:00:00", [
      "--client-cert",
      "optional",
      "--auth-file",
      file("auth.json5"),
    ]);
    assert.equal(await publishes(context, port, "sensor-1"), true);
    for (const name of ["revoked", "foreign"]) assert.equal(await publishes(context, port, name), false, name);
    const reasons = program.lines.filter(({ message }) => message === "A client is let in without its certificate");
    assert.deepEqual(
      reasons.map(({ reason }) => reason),
      [BAD[0][1], BAD[2][1]],
    );
  });

  test("without a list that is good nobody gets in", async (context) => {
    const more = ["--client-cert", "required", "--client-crl", file("ran-out.crl")];
    const { program, port } = await start(context, "1970-01-02 00:00:00", more);
    assert.equal(await publishes(context, port, "sensor-1"), false);
    const reason = "the list of revoked certificates has run out: make a new one";
    await program.line("TLS handshake failed", (line) => line.reason === reason);
  });
});

test("$SYS says by the known time when certificates and lists end, and follows their files", async (context) => {
  const DAY_MS = 86_400_000;
  kit.certificate("soon", { by: "ca", extensions: ["subjectAltName=DNS:localhost"], until: NEXT_YEAR + 1 });
  for (const kind of ["crt", "key"]) kit.write(`live.${kind}`, kit.text(`soon.${kind}`));
  const files = ["--server-crt", file("live.crt"), "--server-key", file("live.key"), "--client-cert", "optional"];
  const { port } = await start(context, "1970-01-02 00:00:00", [...files, "--sys-interval", "100ms"]);
  const where = ["-h", "localhost", "-p", port, "--cafile", file("ca.crt"), "-F", "%t %p", "-W", "10"];
  const all = await runCommand(context, "mosquitto_sub", [...where, "-t", "$SYS/broker/certificates/#", "-C", "48"]);
  const told = new Map(
    all.stdout.split("\n").map((line) => line.replace("$SYS/broker/certificates/", "").split(" ") as [string, string]),
  );
  const of = (number: number): unknown[] =>
    ["file", "kind", "subject", "expires", "warning"].map((name) => told.get(`${number}/${name}`));
  const end = `${NEXT_YEAR + 1}-01-01T00:00:00.000Z`;
  const left = Math.ceil((Date.parse(end) - Date.now()) / DAY_MS);
  assert.deepEqual(of(1), ["live.crt", "server", "soon", end, "none"]);
  assert.deepEqual(of(2), ["cas", "authority", "ca", "2040-01-01T00:00:00.000Z", "none"]);
  assert.deepEqual(of(6), ["crls", "revoked", "ca", "2040-01-01T00:00:00.000Z", "none"]);
  // The known time is that of the program's newest file, or of what began last in a certificate.
  const days = Number(told.get("1/days"));
  assert.ok(days >= left && days < left + 730, `${days} days`);
  const following = startCommand(context, "mosquitto_sub", [
    ...where,
    "-t",
    "$SYS/broker/certificates/1/expires",
    "-C",
    "2",
  ]);
  await following.saw(end);
  for (const kind of ["crt", "key"]) kit.write(`live.${kind}`, kit.text(`server.${kind}`));
  await following.saw("2040-01-01T00:00:00.000Z");
});

test("what time it was when the broker was last on is known at its next start in 1970", async (context) => {
  const cwd = emptyFolder(context);
  const words = ["--client-cert", "required"];
  const first = await start(context, "1970-01-02 00:00:00", words, cwd);
  assert.equal(await publishes(context, first.port, "this-year"), true);
  await first.program.stop();
  const later = await start(context, `${NEXT_YEAR}-02-01 00:00:00`, words, cwd);
  await later.program.stop();
  // Twice, since what is known must not be forgotten in between.
  for (let round = 0; round < 2; round++) {
    const { program, port } = await start(context, "1970-01-02 00:00:00", words, cwd);
    assert.equal(await publishes(context, port, "this-year"), false);
    const line = await program.line("TLS handshake failed", ({ reason }) => reason === BAD[1][1]);
    assert.match(line.known as string, new RegExp(`^${NEXT_YEAR}-02-01T`));
    assert.equal(await publishes(context, port, "sensor-1"), true);
    await program.stop();
  }
});

test("a server's certificate is made anew when it has ended by the known time", async (context) => {
  const cwd = emptyFolder(context);
  const made = await runProgram(context, ["certs", "init", "--days", "40"], { cwd, env: at("2024-06-01 00:00:00") });
  assert.equal(made.result.code, 0, made.stderr);
  const files = ["--server-crt", "certs/server.crt", "--server-key", "certs/server.key"];
  const { program } = await start(context, "1970-01-02 00:00:00", [...files, "--tls-reissue"], cwd);
  const { message } = await program.line(
    /^Made .*server\.crt anew: it would have ended on 2024-07-11; it is good until /,
  );
  // 40 days after the known time, which is that of the program's newest file.
  assert.ok(message.slice(-10) > "2025", message);
});
