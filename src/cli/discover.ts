import { type Browsed, browse, type FoundService } from "../../device/mdns/browse.ts";
import { formatDuration } from "../text/duration.ts";
import { type ClientIo, ExitCode, Output, UsageError, whenInterrupted } from "./client-io.ts";
import { DISCOVER_HELP, type DiscoverOptions, parseDiscoverOptions } from "./discover-options.ts";
import { testService } from "./discover-test.ts";
import { type Discovered, discoveredJson, discoveredText, shown } from "./discover-text.ts";

/** So many at a time: a network may say that there are thousands. */
const TESTS_MAX = 16;

/**
 * `mqtt-broker discover …`; `argv` begins after that word. Returns the exit code: 0, 1 when nothing was found or a test
 * failed, 2 for usage, 130 when it was interrupted, with what was found until then printed.
 */
export async function runDiscover(argv: readonly string[], io: ClientIo): Promise<number> {
  const output = new Output(io.stdout);
  const stop = new AbortController();
  let interruptedCode: number | undefined;
  try {
    const options = parseDiscoverOptions(argv);
    if (options === "help") {
      await output.write(DISCOVER_HELP);
      return ExitCode.Ok;
    }
    const release = whenInterrupted(io, (exitCode) => {
      interruptedCode = exitCode;
      stop.abort();
    });
    const exitCode = await discover(options, io, output, stop.signal);
    release();
    return interruptedCode ?? exitCode;
  } catch (error) {
    io.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return error instanceof UsageError ? ExitCode.Usage : ExitCode.Failed;
  } finally {
    await output.finish();
  }
}

async function discover(options: DiscoverOptions, io: ClientIo, output: Output, signal: AbortSignal): Promise<number> {
  if (options.links.length === 0) {
    io.stderr.write("Nothing can be found: this machine is on no network (ip addr shows its addresses)\n");
    return ExitCode.Failed;
  }
  const browsed = await browse({ ...options, signal });
  for (const [name, reason] of browsed.failures) io.stderr.write(`Cannot look for anything by ${name}: ${reason}\n`);
  if (browsed.services.length === 0) {
    io.stderr.write(`${nothing(options, browsed)}\n`);
    return ExitCode.Failed;
  }
  const tested =
    options.test && !signal.aborted ? await testAll(browsed.services, options.timeoutMs, signal) : undefined;
  const all = browsed.services.map((service, index): Discovered => {
    return { ...service, tls: hasTls(service), ...(tested && { tests: tested[index]! }) };
  });
  await output.write(options.json ? discoveredJson(all) : discoveredText(all));
  if (browsed.isFull) io.stderr.write("There is more than is remembered of one network: --type asks for less\n");
  return all.some(({ tests = [] }) => tests.some(({ ok }) => !ok)) ? ExitCode.Failed : ExitCode.Ok;
}

function nothing({ links, timeoutMs, types }: DiscoverOptions, { failures }: Browsed): string {
  const names = [...new Set(links.map((link) => link.interface))].filter((name) => !failures.has(name));
  if (names.length === 0) return "Nothing can be found";
  const what = types.length === 1 ? `of type ${types[0]} ` : "";
  const where = names.map(shown).join(", ");
  const hint = "mDNS ends at routers, guest networks of Wi-Fi and firewalls that close UDP port 5353";
  return `Nothing ${what}was found by ${where} within ${formatDuration(timeoutMs)}: ${hint}`;
}

async function testAll(
  services: readonly FoundService[],
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Awaited<ReturnType<typeof testService>>[]> {
  const results: Awaited<ReturnType<typeof testService>>[] = [];
  const rest = services.entries();
  const worker = async (): Promise<void> => {
    for (const [index, service] of rest)
      results[index] = await testService(service, hasTls(service), timeoutMs, signal);
  };
  await Promise.all(Array.from({ length: TESTS_MAX }, worker));
  return results;
}

/** Types that have no name of their own for TLS say it in their TXT record. */
function hasTls({ type, txt }: FoundService): boolean {
  return type === "_secure-mqtt._tcp" || txt.get("tls") === "1";
}
