/** Lines of a manual page, of text for people. Backslashes, dashes and what roff takes for requests are shown as they are. */
export function escapeRoff(text: string): string {
  const escaped = text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("'", "\\(aq")
    .replaceAll("`", "\\(ga")
    .replaceAll("^", "\\(ha")
    .replaceAll("~", "\\(ti")
    // As numbers, which every roff reads without being told the encoding.
    .replace(/[^\x20-\x7e\n]/gu, (character) => {
      const hex = character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0");
      return `\\[u${hex}]`;
    });
  return escaped.replace(/^\./gm, "\\&.");
}

/** The first line of a page. `built`: when what it describes was made. */
export function titleLine(name: string, section: number, version: string, built: Date): string {
  const date = built.toISOString().slice(0, 10);
  return `.TH ${name.toUpperCase()} ${section} "${date}" "mqtt\\-broker ${escapeRoff(version)}" "MQTT broker"`;
}

/** A name, and below it what it is. */
export function entry(name: string, meaning: string): string[] {
  return [".TP", `\\fB${escapeRoff(name)}\\fR`, escapeRoff(meaning)];
}

/** One paragraph. */
export function paragraph(text: string): string[] {
  return [".PP", escapeRoff(text)];
}

/** Lines that stay as they are: commands, files. */
export function verbatim(lines: readonly string[]): string[] {
  return [".PP", ".in +4n", ".EX", ...lines.map(escapeRoff), ".EE", ".in"];
}

/**
 * The text of a command's --help as roff: headings, names with their meanings and paragraphs are told apart by how they are
 * indented; tables that are neither stay as they are.
 */
export function helpToRoff(help: string): string[] {
  return help
    .trim()
    .split(/\n\n+/)
    .flatMap((block) => blockToRoff(block.split("\n")));
}

function blockToRoff(lines: readonly string[]): string[] {
  const [first = "", ...rest] = lines;
  if (/^Usage: /.test(first)) return verbatim(lines.map((line) => line.replace(/^Usage: | {7}/, "")));
  // Some have no heading of their own.
  if (/^ /.test(first)) return entriesToRoff(lines);
  if (!/:$/.test(first) || !rest.every((line) => /^ {2}/.test(line))) return paragraph(lines.join(" "));
  const body = rest.some((line) => /^ {2}[%@]/.test(line))
    ? verbatim(rest.map((line) => line.trim()))
    : entriesToRoff(rest);
  return [...paragraph(first), ...body];
}

function entriesToRoff(lines: readonly string[]): string[] {
  const entries: { name: string; meaning: string[] }[] = [];
  for (const line of lines) {
    const [, name, meaning] = /^ {2}(\S.*?)(?: {2,}(\S.*))?$/.exec(line) ?? [];
    const last = entries.at(-1);
    if (name !== undefined) entries.push({ name, meaning: meaning === undefined ? [] : [meaning] });
    else if (last !== undefined) last.meaning.push(line.trim());
  }
  return entries.flatMap(({ name, meaning }) => entry(name, meaning.join(" ")));
}
