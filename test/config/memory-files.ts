import { dirname } from "node:path";
import type { Files } from "../../src/config/files.ts";

/** Files in memory, by absolute path; the working directory is /base. A text "!CODE" cannot be read. */
export function memoryFiles(texts: Readonly<Record<string, string>>): Files {
  return {
    workingDirectory: "/base",
    read(path) {
      const text = Object.hasOwn(texts, path) ? texts[path] : undefined;
      if (text?.startsWith("!")) throw new Error(`${text.slice(1)}: permission denied`);
      return text;
    },
    exists: (path) => Object.hasOwn(texts, path),
    list(directory) {
      const inside = Object.keys(texts).filter((path) => dirname(path) === directory);
      return inside.length === 0 ? undefined : inside.map((path) => path.slice(directory.length + 1)).reverse();
    },
  };
}
