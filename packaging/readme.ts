import { readFileSync, writeFileSync } from "node:fs";
import { withOptions } from "../src/cli/help.ts";

/** Writes the list of options into the README anew, from the table that the program itself reads. */
const file = new URL("../README.md", import.meta.url);
const made = withOptions(readFileSync(file, "utf8"));
if (made === undefined) throw new Error("README.md has lost the markers of its list of options");
writeFileSync(file, made);
