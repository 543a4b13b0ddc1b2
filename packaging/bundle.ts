import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { type BuildOptions, build, type Plugin } from "esbuild";

const ROOT = join(import.meta.dirname, "..");

/**
 * The files that an executable is made of, all of them CommonJS in one folder, so that what lies beside a file in the
 * sources lies beside it here. `main.cjs` starts `app.cjs`, which has the broker and all commands; each thread has a file;
 * heavy packages have one each, which is read when it is needed: V8 looks through all of a file before it runs any of it.
 */
const ENTRIES: readonly { from: string; to: string }[] = [
  { from: "src/executable.ts", to: "main" },
  { from: "src/main.ts", to: "app" },
  { from: "src/os/native.ts", to: "native" },
  { from: "src/store/sqlite/worker.ts", to: "worker" },
  { from: "src/auth/reading/read-worker.ts", to: "reading/read-worker" },
  { from: "src/listener-worker.ts", to: "listener-worker" },
];

/** Packages with files of their own; `x509` is of no use without `reflect-metadata`, which has to be there before it. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  mqtt: ["mqtt"],
  jose: ["jose"],
  yaml: ["yaml"],
  serialport: ["serialport"],
  http3: ["@currentspace/http3"],
  "dbus-next": ["@jellybrick/dbus-next"],
  "bonjour-service": ["bonjour-service"],
  x509: ["reflect-metadata", "@peculiar/x509"],
};

/** Left out: built on the user's machine (`npm run build:mdns`), or what `ws` and `debug` do without. */
const ABSENT = ["mdns", "bufferutil", "utf-8-validate", "supports-color"];

/** What `--version` says beside the version. */
export interface BuildFacts {
  commit: string;
  /** As in ISO 8601. */
  time: string;
}

/** Writes the files into the folder and returns their names. Throws with esbuild's words when the sources don't fit. */
export async function bundle(folder: string, facts: BuildFacts): Promise<string[]> {
  mkdirSync(folder, { recursive: true });
  const common: BuildOptions = {
    absWorkingDir: ROOT,
    bundle: true,
    platform: "node",
    format: "cjs",
    target: "node24",
    // Names and lines stay: a stack trace in somebody's log has to say where it happened.
    minifySyntax: true,
    legalComments: "none",
    logLevel: "error",
    define: {
      "import.meta.dirname": "__dirname",
      "import.meta.filename": "__filename",
      BUILD: JSON.stringify(facts),
    },
    external: ABSENT,
  };
  for (const { from, to } of ENTRIES) {
    const file = join(folder, `${to}.cjs`);
    await build({ ...common, entryPoints: [from], outfile: file, plugins: [apart(to)] });
    writeFileSync(file, withRequires(readFileSync(file, "utf8")));
  }
  for (const [file, names] of Object.entries(PACKAGES)) {
    const contents = names.map((name) => `module.exports = require(${JSON.stringify(name)});`).join("\n");
    const stdin = { contents, resolveDir: ROOT };
    await build({ ...common, stdin, outfile: join(folder, `${file}.cjs`), plugins: [ownLoader()] });
  }
  return [...ENTRIES.map(({ to }) => to), ...Object.keys(PACKAGES)].map((name) => `${name}.cjs`);
}

/** Through `import()` a file that was bundled would show none of its names, since they are not written in it as such. */
function withRequires(text: string): string {
  return text.replaceAll(/\bimport\(("\.\.?\/[\w-]+\.cjs")\)/g, "Promise.resolve().then(() => require($1))");
}

/** For the file of that name: what has a file of its own is required from there. */
function apart(file: string): Plugin {
  const beside = file.includes("/") ? "../" : "./";
  const homes = Object.entries(PACKAGES).flatMap(([home, names]) => names.map((name) => [name, home] as const));
  const homeOf = new Map(homes);
  return {
    name: "apart",
    setup: ({ onResolve }) => {
      onResolve({ filter: /^[^./]/ }, ({ path }) => {
        const home = homeOf.get(path);
        return home === undefined ? undefined : { path: `${beside}${home}.cjs`, external: true };
      });
      onResolve({ filter: /(?:\/native\.ts|^\.\/app\.cjs)$/ }, ({ path, kind }) => {
        if (kind === "entry-point") return undefined;
        return { path: `${beside}${basename(path, extname(path))}.cjs`, external: true };
      });
    },
  };
}

/** Packages find their native halves by files that are not there: ours loads them. */
function ownLoader(): Plugin {
  const load = (name: string): string => `require("./native.cjs").loadNative("${name}")`;
  return {
    name: "own loader",
    setup: ({ onResolve, onLoad }) => {
      onResolve({ filter: /^\.\/native\.cjs$/ }, ({ path }) => ({ path, external: true }));
      onLoad({ filter: /\/node_modules\/node-gyp-build\/index\.js$/ }, () => ({
        contents: `module.exports = () => ${load("serialport")};`,
      }));
      onLoad({ filter: /\/@currentspace\/http3\/dist\/event-loop\.js$/ }, ({ path }) => {
        const text = readFileSync(path, "utf8");
        const call = "require(findBinding())";
        if (!text.includes(call)) throw new Error(`${path} no longer says ${call}: see how it loads its native half`);
        return { contents: text.replace(call, load("http3")) };
      });
    },
  };
}
