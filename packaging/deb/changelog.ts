import { MAINTAINER } from "./control.ts";

const WIDTH = 76;

/** Debian's form of CHANGELOG.md: one entry for each of its versions. Throws Error when there is none. */
export function debianChangelog(markdown: string, built: Date): string {
  const entries = markdown.split(/^## /m).slice(1);
  if (entries.length === 0) throw new Error('CHANGELOG.md has no version: a line "## 1.2.3" begins one');
  return entries.map((entry) => entryOf(entry, built)).join("\n");
}

function entryOf(entry: string, built: Date): string {
  const [heading = "", ...lines] = entry.trim().split("\n");
  const version = heading.split(/[\s,]/)[0];
  const changes = lines
    .join("\n")
    .split(/^- /m)
    .slice(1)
    .map((change) => wrap(change.replace(/\s+/g, " ").trim(), "  * "));
  // Days and months in English whatever the machine speaks: Thu, 19 Nov 2026 10:00:00 +0000.
  const date = built.toUTCString().replace("GMT", "+0000");
  return `mqtt-broker (${version}) stable; urgency=medium\n\n${changes.join("\n")}\n\n -- ${MAINTAINER}  ${date}\n`;
}

function wrap(text: string, bullet: string): string {
  const lines: string[] = [];
  let line = bullet.trimEnd();
  for (const word of text.split(" ")) {
    if (line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = " ".repeat(bullet.length - 1);
    }
    line += ` ${word}`;
  }
  return [...lines, line].join("\n");
}
