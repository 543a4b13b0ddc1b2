import promises from "node:fs/promises";
import { createRequire } from "node:module";
import { basename } from "node:path";

/**
 * Runs `pkg` with the words that follow. It writes the configuration that Node.js makes an executable from, and takes no
 * options for V8 and Node.js into it: so they are added on the way to the file.
 *
 * A bound to the young generation, as `npm start` has it; and no debugger for whoever may send a signal.
 */
const OPTIONS = ["--max-semi-space-size=8", "--disable-sigusr1"];

const { writeFile } = promises;
promises.writeFile = (file, data, options) => {
  if (typeof file !== "string" || basename(file) !== "sea-config.json") return writeFile(file, data, options);
  return writeFile(file, JSON.stringify({ ...JSON.parse(String(data)), execArgv: OPTIONS }), options);
};
createRequire(import.meta.url)("@yao-pkg/pkg/lib-es5/bin.js");
