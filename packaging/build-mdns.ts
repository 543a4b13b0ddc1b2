import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";

/**
 * `npm run build:mdns`: puts the package `mdns` into node_modules, for `--mdns mdns`. It is an old binding to the library
 * of Apple's Bonjour, or Avahi's stand-in for it, which no present Node.js compiles as it is; nothing else needs it, so it
 * is neither among the dependencies nor in the lockfile, and `npm ci` removes it again.
 */
const VERSION = "2.7.2";
const DEBIAN_PACKAGE = "libavahi-compat-libdnssd-dev";
const HEADERS = ["/usr/include/avahi-compat-libdns_sd/dns_sd.h", "/usr/include/dns_sd.h"];
const ROOT = join(import.meta.dirname, "..");

/** Of its sources what V8 has another way for since: accessors of one property, and how long a string is in UTF-8. */
const PATCHES: readonly { file: string; before: string; after: string }[] = [
  ...["dns_service_ref.cpp", "dns_service_ref.hpp"].map((file) => ({
    file: `src/${file}`,
    before: "NAN_PROPERTY_GETTER(",
    after: "NAN_GETTER(",
  })),
  {
    file: "src/mdns_utils.hpp",
    before: "return ToString(v)->Utf8Length(v8::Isolate::GetCurrent());",
    after: "return v8::String::Utf8Value(v8::Isolate::GetCurrent(), v).length();",
  },
];

process.exitCode = build();

function build(): number {
  const npm = process.env.npm_execpath;
  if (npm === undefined) return refuse("Run it by npm: npm run build:mdns");
  if (!HEADERS.some((file) => existsSync(file))) {
    return refuse(`dns_sd.h is missing. On Debian: apt-get install g++ make python3 ${DEBIAN_PACKAGE}`);
  }
  const folder = mkdtempSync(join(tmpdir(), "mqtt-broker-mdns-"));
  try {
    writeFileSync(join(folder, "package.json"), "{}");
    const made = join(folder, "node_modules/mdns");
    if (!runs(folder, npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", `mdns@${VERSION}`)) return 1;
    for (const { file, before, after } of PATCHES) {
      const text = readFileSync(join(made, file), "utf8");
      if (!text.includes(before)) return refuse(`${file} of mdns ${VERSION} is not what the patch is for: ${before}`);
      writeFileSync(join(made, file), text.replaceAll(before, after));
    }
    const gyp = join(dirname(npm), "../node_modules/node-gyp/bin/node-gyp.js");
    // Node.js came from npm with its headers, which need not be fetched then.
    const own = join(dirname(process.execPath), "..");
    const headers = existsSync(join(own, "include/node/node.h")) ? [`--nodedir=${own}`] : [];
    if (!runs(made, gyp, "rebuild", ...headers)) return 1;
    const target = join(ROOT, "node_modules/mdns");
    rmSync(target, { recursive: true, force: true });
    cpSync(made, target, { recursive: true });
    // What it loads at run time, where nothing else sees it.
    cpSync(join(folder, "node_modules/bindings"), join(target, "node_modules/bindings"), { recursive: true });
    if (!runs(target, "-e", "require('mdns')")) return refuse("It is built, and cannot be loaded: see above");
    console.log(`mdns ${VERSION} is built for Node.js ${process.versions.node}: --mdns mdns uses it`);
    return 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A script of Node.js, by this Node.js. */
function runs(cwd: string, script: string, ...words: string[]): boolean {
  const PATH = [dirname(process.execPath), process.env.PATH].join(delimiter);
  // The headers of another Node.js, in somebody's npmrc, would come before those that are given here.
  const { npm_config_nodedir: _, ...rest } = process.env;
  const env = { ...rest, PATH };
  return spawnSync(process.execPath, [script, ...words], { cwd, env, stdio: "inherit" }).status === 0;
}

function refuse(reason: string): number {
  console.error(reason);
  return 1;
}
