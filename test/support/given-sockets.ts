/**
 * Opens sockets as systemd does, and becomes the rest of its words, which inherit them. Addresses are "HOST:PORT" or a
 * path; each is said on standard output as it was opened. With "hold" it waits for a line of standard input first.
 */
const SCRIPT = `
import fcntl, os, socket, sys
addresses, names, hold = sys.argv[1].split(","), sys.argv[2], sys.argv[3]
opened = []
for address in addresses:
    if address.startswith("/"):
        made = socket.socket(socket.AF_UNIX)
        made.bind(address)
    else:
        made = socket.socket(socket.AF_INET)
        made.bind((address.split(":")[0], int(address.split(":")[1])))
    made.listen(64)
    print("opened", address if address.startswith("/") else "%s:%d" % made.getsockname(), flush=True)
    opened.append(fcntl.fcntl(made.fileno(), fcntl.F_DUPFD, 200))
for index, number in enumerate(opened):
    os.dup2(number, 3 + index)
    os.close(number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(opened)), LISTEN_FDNAMES=names)
if hold == "hold":
    os.read(0, 1)
os.execvp(sys.argv[4], sys.argv[4:])
`;

/** Words to put before a command, which then has sockets at these addresses as descriptors from 3 on. */
export function withSockets(
  addresses: readonly string[],
  { names = [], hold = false }: { names?: readonly string[]; hold?: boolean } = {},
): string[] {
  return ["python3", "-c", SCRIPT, addresses.join(","), names.join(":"), hold ? "hold" : "go"];
}

/** The ports or paths that were said to be open, in their order. */
export function placesIn(stdout: string): string[] {
  return [...stdout.matchAll(/^opened (?:127\.0\.0\.1:)?(.+)$/gm)].map((match) => match[1]!);
}
