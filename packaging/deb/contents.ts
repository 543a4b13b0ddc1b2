import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { renderCompletion } from "../completion.ts";
import { renderConfigurationPage } from "../man-configuration.ts";
import { renderManPage } from "../man-page.ts";
import { debianChangelog } from "./changelog.ts";
import { copyrightFile } from "./copyright.ts";
import { buildTime } from "./source-date.ts";

const ROOT = join(import.meta.dirname, "../..");

/** One file of the package: a copy of `from`, or these bytes. */
export type Item = {
  /** Where it is on the machine that installs it. */
  path: string;
  mode: number;
  /** A file that people change: an upgrade keeps what they have made of it. */
  conffile?: true;
} & ({ from: string; bytes?: undefined } | { from?: undefined; bytes: string | Uint8Array });

export type Contents = readonly Item[];

/** Every file of the package. Throws Error when something of which a text is made is missing. */
export function contentsOf({ executable, version }: { executable: string; version: string }): Contents {
  const built = new Date(buildTime() * 1000);
  return [
    { path: "/usr/bin/mqtt-broker", mode: 0o755, from: executable },
    { path: "/etc/mqtt-broker/auth.json5", mode: 0o640, conffile: true, from: own("auth.json5") },
    {
      path: "/etc/mqtt-broker/mqtt-broker.json5",
      mode: 0o644,
      conffile: true,
      from: own("packaging/deb/mqtt-broker.json5"),
    },
    text("/lib/systemd/system/mqtt-broker.service", "systemd/mqtt-broker.service"),
    text("/lib/systemd/system/mqtt-broker.socket", "systemd/mqtt-broker.socket"),
    text("/usr/lib/sysusers.d/mqtt-broker.conf", "systemd/sysusers.d/mqtt-broker.conf"),
    text("/usr/lib/tmpfiles.d/mqtt-broker.conf", "systemd/tmpfiles.d/mqtt-broker.conf"),
    text("/lib/udev/rules.d/60-mqtt-broker-serial.rules", "device/serial/60-mqtt-broker-serial.rules"),
    text("/usr/share/lintian/overrides/mqtt-broker", "packaging/deb/lintian-overrides"),
    packed("/usr/share/man/man1/mqtt-broker.1.gz", renderManPage(version, built)),
    packed("/usr/share/man/man5/mqtt-broker.json5.5.gz", renderConfigurationPage(version, built)),
    { path: "/usr/share/bash-completion/completions/mqtt-broker", mode: 0o644, bytes: renderCompletion() },
    { path: "/usr/share/doc/mqtt-broker/copyright", mode: 0o644, bytes: copyrightFile(ROOT) },
    packed(
      "/usr/share/doc/mqtt-broker/changelog.gz",
      debianChangelog(readFileSync(own("CHANGELOG.md"), "utf8"), built),
    ),
  ];
}

function own(path: string): string {
  const found = join(ROOT, path);
  if (existsSync(found)) return found;
  throw new Error(`The package needs ${path}, which is not there`);
}

function text(path: string, from: string): Item {
  return { path, mode: 0o644, from: own(from) };
}

/** Without the time at which it was packed, so that the same text gives the same bytes. */
function packed(path: string, contents: string): Item {
  return { path, mode: 0o644, bytes: gzipSync(contents, { level: 9 }) };
}
