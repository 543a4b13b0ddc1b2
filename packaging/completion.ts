import { type Completed, type CompletedCommand, completedCommands } from "./completion-words.ts";

/** The completion for bash, from the tables of options. It needs bash 4.4 and nothing else. */
export function renderCompletion(): string {
  const commands = completedCommands();
  const names = commands.map(({ name }) => name).filter((name) => !name.includes(" "));
  return `# Completion of mqtt-broker for bash, made from its tables of options.

_mqtt_broker() {
\tlocal cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]}
\tlocal command=run next=1 joined= options= switches= words= value=

\tCOMPREPLY=()
\t# For bash "=" is a word of its own.
\tif [[ $cur == = ]]; then
\t\tcur= joined=1
\telif [[ $prev == = ]]; then
\t\tprev=\${COMP_WORDS[COMP_CWORD - 2]} joined=1
\tfi

\tcase \${COMP_WORDS[1]} in
${indent(1, `${names.join(" | ")})`)}
\t\tif ((COMP_CWORD > 1)); then command=\${COMP_WORDS[1]} next=2; fi
\t\t;;
\tesac
\tcase "$command \${COMP_WORDS[2]-}" in
${indent(
  1,
  `${commands
    .map(({ name }) => name)
    .filter((name) => name.includes(" "))
    .map((name) => `"${name}"`)
    .join(" | ")})`,
)}
\t\tif ((COMP_CWORD > 2)); then command="$command \${COMP_WORDS[2]}" next=3; fi
\t\t;;
\tesac

\tcase $command in
${commands.map(renderCommand).join("\n")}
\tesac

\tif [[ -n $value && ($prev == -* || -n $joined) ]]; then
\t\t_mqtt_broker_value "$value"
\telif [[ -n $joined ]]; then
\t\treturn
\telif [[ $cur == --no* ]]; then
\t\tmapfile -t COMPREPLY < <(compgen -W "$options $switches" -- "$cur")
\telif [[ $cur == -* ]]; then
\t\tmapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
\telif ((COMP_CWORD == 1)); then
\t\tmapfile -t COMPREPLY < <(compgen -W "${[...names, "help", "version"].join(" ")}" -- "$cur")
\telif [[ $words == FILE ]]; then
\t\t_mqtt_broker_value FILE
\telif ((COMP_CWORD == next)); then
\t\tmapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
\tfi
}

# FILE, FOLDER, ANYTHING, or the words from which one is taken.
_mqtt_broker_value() {
\tcase $1 in
\tANYTHING) ;;
\tFILE)
\t\tcompopt -o filenames 2>/dev/null
\t\tmapfile -t COMPREPLY < <(compgen -f -- "$cur")
\t\t;;
\tFOLDER)
\t\tcompopt -o filenames 2>/dev/null
\t\tmapfile -t COMPREPLY < <(compgen -d -- "$cur")
\t\t;;
\t*)
\t\tmapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
\t\t# More follows these.
\t\tif [[ \${COMPREPLY[0]-} == *[=:] ]]; then compopt -o nospace 2>/dev/null; fi
\t\t;;
\tesac
}

complete -F _mqtt_broker mqtt-broker
`;
}

function renderCommand({ name, options, words, takesFiles }: CompletedCommand): string {
  const shown = options.flatMap(({ names }) => names);
  const negated = options
    .filter(({ isSwitch }) => isSwitch)
    .flatMap(({ names }) => names.filter((option) => option.startsWith("--")))
    .map((option) => `--no-${option.slice(2)}`);
  const lines = [
    `"${name}")`,
    `\toptions="${shown.join(" ")}"`,
    ...(negated.length === 0 ? [] : [`\tswitches="${negated.join(" ")}"`]),
    ...(takesFiles ? ["\twords=FILE"] : words.length === 0 ? [] : [`\twords="${words.join(" ")}"`]),
    ...renderValues(options),
    "\t;;",
  ];
  return lines.map((line) => indent(1, line)).join("\n");
}

/** Those with the same values stand together. A switch has some only when they are joined by "=". */
function renderValues(options: CompletedCommand["options"]): string[] {
  const byValue = new Map<string, string[]>();
  for (const { names, value, isSwitch } of options) {
    if (value === undefined) continue;
    const text = isSwitch ? `\${joined:+${textOf(value)}}` : textOf(value);
    byValue.set(text, [...(byValue.get(text) ?? []), ...names]);
  }
  if (byValue.size === 0) return [];
  const cases = [...byValue].map(([text, names]) => `\t${names.join(" | ")}) value="${text}" ;;`);
  return ["\tcase $prev in", ...cases, "\tesac"];
}

function textOf(value: Completed): string {
  return typeof value === "string" ? value.toUpperCase() : value.join(" ");
}

function indent(tabs: number, line: string): string {
  return "\t".repeat(tabs) + line;
}
