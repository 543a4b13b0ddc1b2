/** The executable for ARM64 with its native parts, emulated where this machine is another one. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { hostArchitecture } from "../../packaging/architecture.ts";
import { PtyFolder } from "../device/serial/pty.ts";
import { executablePath } from "../executable/executable.ts";
import { startBroker } from "../smoke/program.ts";
import { CertificateFolder } from "../support/certificates.ts";
import { searchGateway } from "../support/search-gateway.ts";

const LIBRARIES = "/usr/aarch64-linux-gnu";

function emulator(): readonly string[] {
  if (hostArchitecture() === "arm64") return [];
  const needed = [`${LIBRARIES}/lib/libc.so.6`, `${LIBRARIES}/lib/libstdc++.so.6`];
  const missing = needed.filter((file) => !existsSync(file));
  const advice = "on Debian: apt-get install qemu-user-static libc6-arm64-cross libstdc++6-arm64-cross";
  assert.deepEqual(missing, [], advice);
  return ["qemu-aarch64-static", "-L", LIBRARIES];
}

test("the executable for arm64 serves QUIC and a serial line", async (context) => {
  const file = executablePath("arm64");
  assert.ok(existsSync(file), `${file} is missing: npm run package -- all --executable-only makes it`);
  const certificates = new CertificateFolder();
  const lines = new PtyFolder();
  context.after(() => lines.close());
  context.after(() => certificates.remove());
  certificates.authority("ca");
  certificates.issue("server", "ca", "localhost");
  const pty = await lines.plug("ttyUSB0");
  const keys = ["--server-crt", certificates.file("server.crt"), "--server-key", certificates.file("server.key")];
  const serial = ["--serial", `${lines.at("ttyUSB0")}:115200,framing=raw`];
  const words = ["--tcp-port", "0", "--quic-port", "0", ...keys, ...serial];
  const { program } = await startBroker(context, words, { program: [...emulator(), file] });
  await program.line(/^Listening on quic:/);
  await program.line("Serial line open");
  await searchGateway(pty, 20_000);
  assert.equal((await program.stop()).code, 0);
});
