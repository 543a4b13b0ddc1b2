import { startCommand } from "../smoke/program.ts";

/** Listens for datagrams at a path or, with "@" before it, an abstract name; writes each as a line of JSON. */
const SCRIPT = `
import json, os, socket, sys
name = sys.argv[1]
made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
made.bind("\\0" + name[1:] if name.startswith("@") else name)
if not name.startswith("@"):
    os.chmod(name, 0o666)
print("ready", flush=True)
if len(sys.argv) > 2:
    sys.stdin.readline()
while True:
    print(json.dumps(list(made.recv(1 << 20))), flush=True)
`;

/** What stands in for systemd's sockets. */
export interface DatagramReceiver {
  /** The datagrams so far, as text. */
  texts(): string[];
  /** Waits until there are so many. */
  count(wanted: number): Promise<string[]>;
  /** Of one that holds: from now on it takes what comes. */
  release(): void;
}

/** `holds`: takes nothing until it is released, so that its queue fills up. */
export async function receiveDatagrams(
  context: { after(end: () => void | Promise<void>): void },
  name: string,
  { holds = false } = {},
): Promise<DatagramReceiver> {
  const program = startCommand(context, "python3", ["-c", SCRIPT, name, ...(holds ? ["hold"] : [])]);
  await program.saw(/^ready$/m);
  const texts = (): string[] =>
    program.stdout
      .split("\n")
      .filter((line) => line.startsWith("["))
      .map((line) => Buffer.from(JSON.parse(line) as number[]).toString());
  return {
    texts,
    count: async (wanted) => {
      await program.until(() => texts().length >= wanted, `${wanted} datagrams`);
      return texts();
    },
    release: () => program.type("go"),
  };
}
