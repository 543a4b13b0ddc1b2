import { CLIENT_OPTIONS, type ClientCommand } from "./client-option-table.ts";

const PURPOSE: Readonly<Record<ClientCommand, string>> = {
  pub: "Publishes a message, or the lines of standard input, and exits.",
  sub: "Subscribes and prints the messages that come.",
  rr: "Publishes a request and prints the response. Speaks MQTT 5.0 unless -V says otherwise.",
};

const USAGE: Readonly<Record<ClientCommand, string>> = {
  pub: "-t TOPIC {-m TEXT | -f FILE | -l | -n | -s} [OPTIONS]",
  sub: "-t TOPIC [-t TOPIC …] [OPTIONS]",
  rr: "-t TOPIC -e TOPIC {-m TEXT | -f FILE | -l | -n | -s} [OPTIONS]",
};

const SEQUENCES = `
Sequences of -F:
  %t topic   %p payload   %x %X payload in hexadecimal   %l its length   %q QoS   %r RETAIN   %m packet identifier
  %A topic alias   %C content type   %D correlation data   %E message expiry   %F payload format indicator
  %P user properties   %R response topic   %S subscription identifier
  %I date and time   %U seconds since 1970   %j JSON   %J JSON with the payload as JSON   %% a percent sign
  @X strftime's %X   @N nanoseconds   @@ an at sign   \\\\ \\0 \\a \\e \\n \\r \\t \\v characters
  %-20t left-aligned, %20t right-aligned, %020l with zeros, %.20t cut
`;

const EXIT_CODES = `
Exit codes: 0, 1 failed, 2 usage, 7 connection lost, 27 time is up (-W), else the code with which the broker refused
the connection.
`;

/** The text of `--help`, from the same table that the parser reads. */
export function clientHelp(command: ClientCommand): string {
  const lines = CLIENT_OPTIONS.filter(({ commands }) => commands.includes(command)).map(({ names, takes, help }) => {
    const left = `  ${names.join(", ")}${takes === undefined ? "" : ` ${takes}`}`;
    return left.length < 34 ? `${left.padEnd(34)}${help}` : `${left}\n${" ".repeat(34)}${help}`;
  });
  return `Usage: mqtt-broker ${command} ${USAGE[command]}

${PURPOSE[command]}
The options are those of mosquitto_${command}.

Options:
${lines.join("\n")}
${command === "pub" ? "" : SEQUENCES}${EXIT_CODES}`;
}
