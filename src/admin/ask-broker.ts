import { connect } from "node:net";
import { createInterface } from "node:readline";

/** The broker is there, and said no; or what answers there is none. The message is for people. */
export class AskError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "AskError";
  }
}

/** Nothing comes for so long: it hangs, or is no broker. */
const PATIENCE_MS = 15_000;

/**
 * Asks a running broker through its control socket, see control-socket.ts. Returns the items of its answer; undefined when no broker
 * listens at any of `paths`, of which the first that answers is taken. Rejects with AskError.
 */
export async function askBroker(
  paths: readonly string[],
  operation: string,
  given: Readonly<Record<string, string>> = {},
): Promise<unknown[] | undefined> {
  for (const path of paths) {
    const items = await askAt(path, `${JSON.stringify({ operation, arguments: given })}\n`);
    if (items !== undefined) return items;
  }
  return undefined;
}

async function askAt(path: string, question: string): Promise<unknown[] | undefined> {
  const socket = connect(path);
  socket.setTimeout(PATIENCE_MS, () => socket.destroy(new AskError(`The broker at ${path} does not answer`)));
  // Errors end the lines too, and are told below.
  let failure: NodeJS.ErrnoException | undefined;
  socket.on("error", (error) => {
    failure = error;
  });
  socket.end(question);
  const items: unknown[] = [];
  const lines = createInterface({ input: socket, crlfDelay: Number.POSITIVE_INFINITY });
  // readline passes on the errors of its input.
  lines.on("error", () => {});
  try {
    for await (const line of lines) {
      const answer = parseAnswer(line, path);
      if (typeof answer.error === "string") throw new AskError(answer.error);
      if (answer.done === true) return items;
      items.push(answer.item);
    }
  } catch (error) {
    if (error instanceof AskError) throw error;
    failure ??= error as NodeJS.ErrnoException;
  } finally {
    socket.destroy();
  }
  if (failure?.code === "ENOENT" || failure?.code === "ECONNREFUSED" || failure?.code === "ENOTDIR") return undefined;
  if (failure?.code === "EACCES") {
    throw new AskError(`No right to ask the broker at ${path}: do this as the user as whom it runs, or as root`);
  }
  throw new AskError(
    `The broker at ${path} gave no whole answer${failure === undefined ? "" : `: ${failure.message}`}`,
  );
}

function parseAnswer(line: string, path: string): Readonly<Record<string, unknown>> {
  try {
    const answer: unknown = JSON.parse(line);
    if (typeof answer === "object" && answer !== null) return answer as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw new AskError(`What answers at ${path} is no broker`);
}
