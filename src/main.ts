#!/usr/bin/env node
import { type CommandLine, parseCommandLine } from "./cli/arguments.ts";
import { hostFiles } from "./config/files.ts";
import { loadSettings } from "./config/load.ts";
import { VERSION_TEXT } from "./version.ts";

// Not awaited here: the executable's bundle is CommonJS, which knows no such thing at the top of a file.
void main(process.argv.slice(2)).then((exitCode) => {
  process.exitCode = exitCode;
});

/** Every command is loaded when it is asked for: the broker never pays for the clients. */
async function main(argv: readonly string[]): Promise<number> {
  const line = parseCommandLine(argv, process.env);
  watchOutput(line.command === "run");
  const io = { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, env: process.env };
  switch (line.command) {
    case "help":
      process.stdout.write((await import("./cli/help.ts")).renderHelp());
      return 0;
    case "version":
      process.stdout.write(`mqtt-broker ${VERSION_TEXT}\n`);
      return 0;
    case "check":
      return (await import("./cli/check.ts")).check(line, process.env, hostFiles(), (text) =>
        process.stdout.write(text),
      );
    case "pub":
      return (await import("./cli/pub.ts")).runPub([...line.rest], io);
    case "sub":
      return (await import("./cli/sub.ts")).runSub([...line.rest], io);
    case "rr":
      return (await import("./cli/rr.ts")).runRr([...line.rest], io);
    case "client":
      return (await import("./cli/client.ts")).runClient([...line.rest], io);
    case "store": {
      const { runStore } = await import("./cli/store.ts");
      const { storeTools } = await import("./store/sqlite/commands.ts");
      return runStore(line.rest, io, hostFiles(), storeTools);
    }
    case "passwd":
      return (await import("./cli/passwd.ts")).runPasswd(line.rest, io, hostFiles());
    case "auth":
      return (await import("./cli/auth.ts")).runAuth(line.rest, io, hostFiles());
    case "explain":
      return (await import("./cli/explain.ts")).runExplain(line.rest, io, hostFiles());
    case "banned":
      return (await import("./cli/banned.ts")).runBanned(line.rest, io, hostFiles());
    case "certs":
      return (await import("./cli/certs.ts")).runCerts(line.rest, io, hostFiles());
    case "discover":
      return (await import("./cli/discover.ts")).runDiscover(line.rest, io);
    case "run":
      return runBroker(line);
  }
}

/**
 * Who reads what is printed may leave before its end, as head does. What is lost otherwise, on a full disk say, is told, and
 * makes 1 of the exit code 0; but a broker goes on without its log.
 */
function watchOutput(isBroker: boolean): void {
  process.stderr.on("error", () => {});
  let isLost = false;
  process.stdout.on("error", ({ code, message }: NodeJS.ErrnoException) => {
    if (isBroker || code === "EPIPE" || isLost) return;
    isLost = true;
    process.stderr.write(`Standard output could not be written, and is not complete: ${message}\n`);
    process.once("exit", (exitCode) => {
      if (exitCode === 0) process.exitCode = 1;
    });
  });
}

/** Exit 2 before anything is opened when the configuration has errors. */
async function runBroker(line: CommandLine): Promise<number> {
  const { settings, problems } = await loadSettings(line, process.env, hostFiles());
  if (settings === undefined) {
    (await import("./cli/refusal.ts")).refuseToStart(problems);
    return 2;
  }
  const reread = () => loadSettings(line, process.env, hostFiles());
  return (await import("./cli/run.ts")).run(settings, reread);
}
