import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Those that have a text in `licences/`, word for word, and the one that every Debian has. */
const TITLES = {
  "Apache-2.0": "Apache License 2.0",
  MIT: "MIT licence",
  ISC: "ISC licence",
  "BSD-2-Clause": "BSD licence with two clauses, as of Cloudflare",
  jemalloc: "Licence of jemalloc",
  BoringSSL: "Licence of BoringSSL",
  Sun: "Terms of Sun Microsystems' mathematics",
  "Unicode-3.0": "Licence of Unicode, version 3",
  "Unicode-DFS-2016": "Licence of Unicode, of 2016",
  "LLVM-exception": "LLVM exceptions to the Apache License 2.0",
};

export type LicenceName = keyof typeof TITLES;

const NAMES = Object.keys(TITLES) as LicenceName[];

/** No package of Debian repeats it. */
const APACHE = "On Debian systems its text is /usr/share/common-licenses/Apache-2.0.\n";

/** Others write them at the end of their own licence, with other line breaks. */
const REPEATED: readonly LicenceName[] = ["MIT", "ISC"];

/** Each with what it is called. */
export function licenceTexts(): { title: string; text: string }[] {
  return NAMES.map((name) => {
    const text = textOf(name);
    return { title: TITLES[name], text: name === "BoringSSL" ? withoutRepeated(text) : text };
  });
}

/** What stands for the text of one that is written elsewhere in the same file. */
export function seeLicence(name: LicenceName): string {
  return `Licence: the text under "${TITLES[name]}" in this file.`;
}

/** The licence of somebody, where the text that it has in common with others is replaced by the name of it. */
export function withoutRepeated(licence: string): string {
  return REPEATED.reduce((text, name) => text.replace(loosely(textOf(name)), () => seeLicence(name)), licence);
}

function textOf(name: LicenceName): string {
  return name === "Apache-2.0" ? APACHE : readFileSync(join(import.meta.dirname, "licences", `${name}.txt`), "utf8");
}

/** That text, wherever its lines end. */
function loosely(text: string): RegExp {
  const words = text.trim().split(/\s+/);
  return new RegExp(words.map((word) => word.replaceAll(/\W/g, "\\$&")).join("\\s+"), "g");
}
