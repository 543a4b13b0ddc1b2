/** Where the executable may write little, and execute nothing but itself. */
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, suite, type TestContext, test } from "node:test";
import { hostArchitecture } from "../../packaging/architecture.ts";
import { type Pty, PtyFolder } from "../device/serial/pty.ts";
import { executablePath } from "../executable/executable.ts";
import { type Running, startProgram } from "../smoke/program.ts";
import { CertificateFolder } from "../support/certificates.ts";
import { connect } from "../support/raw-client.ts";
import { searchGateway } from "../support/search-gateway.ts";

/**
 * In a namespace of its own: nothing can be written but in places that are mounted noexec, and in the folder that is given,
 * which is mounted with these options.
 */
const MOUNTS = `
data=$1 options=$2; shift 2
for folder in /tmp /run /dev/shm; do mount -t tmpfs -o noexec tmpfs $folder; done
mount --bind "$data" "$data"
mount -o "remount,bind,$options" "$data"
mount -o remount,bind,ro /
exec "$@"
`;
const BUILD = join(import.meta.dirname, "../../build");

let folder: string;
const certificates = new CertificateFolder();
before(() => {
  certificates.authority("ca");
  certificates.issue("server", "ca", "localhost", "DNS:localhost,IP:127.0.0.1");
  mkdirSync(BUILD, { recursive: true });
  folder = mkdtempSync(join(BUILD, "mounts-"));
});
after(() => {
  certificates.remove();
  rmSync(folder, { recursive: true, force: true });
});

/** With a QUIC listener and a serial line, both of which need add-ons. `options`: of the only folder that is not noexec. */
async function start(context: TestContext, options: string): Promise<{ program: Running; pty: Pty }> {
  const lines = new PtyFolder();
  context.after(() => lines.close());
  const pty = await lines.plug("ttyUSB0");
  const data = mkdtempSync(join(folder, "data-"));
  for (const name of ["server.crt", "server.key"]) copyFileSync(certificates.file(name), join(data, name));
  const key = ["--server-crt", join(data, "server.crt"), "--server-key", join(data, "server.key")];
  const program = startProgram(
    context,
    ["--tcp-port", "0", "--quic-port", "0", ...key, "--data-dir", data, "--serial", `${pty.device}:115200,framing=raw`],
    {
      cwd: "/",
      before: ["unshare", "--mount", "--propagation", "private", "sh", "-ec", MOUNTS, "sh", data, options],
      program: [executablePath(hostArchitecture())],
    },
  );
  await program.line(/^Listening on tcp:/);
  return { program, pty };
}

async function assertServes(program: Running): Promise<void> {
  const { message } = await program.line(/^Listening on tcp:/);
  const client = await connect(Number(/:(\d+)$/.exec(message)![1]));
  assert.equal(await client.publish("a", "b", { qos: 1 }), 0x10);
  await client.disconnect();
}

suite("with a read-only root, and /tmp, /run and /dev/shm mounted noexec", { concurrency: 1 }, () => {
  test("one folder that is not noexec, that of the data, is enough for serial lines and QUIC", async (context) => {
    const { program, pty } = await start(context, "exec");
    await assertServes(program);
    await program.line(/^Listening on quic:/);
    await program.line("Serial line open");
    await searchGateway(pty);
  });

  test("without one it serves, and only they say why they don't", async (context) => {
    const { program } = await start(context, "noexec");
    await assertServes(program);
    const why = (name: string) =>
      new RegExp(
        `the add-on ${name} needs, .* found none: /run \\(mounted noexec\\), .*; set XDG_RUNTIME_DIR or --data-dir`,
      );
    const text = program.stdout;
    assert.match(text, why("http3"));
    await program.until(() => why("serialport").test(program.stdout), "why the serial line is not served");
    const listening = program.lines.filter(({ message }) => message.startsWith("Listening on quic"));
    assert.deepEqual(listening, []);
  });
});
