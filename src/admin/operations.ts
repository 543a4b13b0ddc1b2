/** What can be asked of a running broker, each once; its faces (the control socket, others later) only carry it. */
export interface Operation {
  readonly name: string;
  /** Changes something: who may only look may not ask for it. */
  readonly changes: boolean;
  /** Names of its arguments; all of them are texts, and all are needed. */
  readonly takes: readonly string[];
  /** What it answers, item by item; each can be written as JSON. Throws OperationError for arguments that are no good. */
  run(given: Readonly<Record<string, string>>): Iterable<unknown> | Promise<Iterable<unknown>>;
}

/** The parts that know. What is not there is not offered. */
export interface OperationParts {
  /** The record of traffic, line by line. */
  traffic?: (() => Iterable<unknown>) | undefined;
  /** Addresses that are banned. */
  banned?: (() => Iterable<unknown>) | undefined;
  /** Ends the ban of an address; false when it has none. */
  lift?: ((address: string) => boolean) | undefined;
  /** Reads the configuration and the rules again. */
  reload?: (() => void | Promise<void>) | undefined;
}

/** The asker's mistake; the message says what to do. */
export class OperationError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "OperationError";
  }
}

/** The longest argument: an address takes less than a tenth of it. */
const ARGUMENT_CHARACTERS_MAX = 1024;

/** By name. */
export function operations(parts: OperationParts): ReadonlyMap<string, Operation> {
  const { traffic, banned, lift, reload } = parts;
  const offered: Operation[] = [];
  if (traffic !== undefined) offered.push({ name: "traffic", changes: false, takes: [], run: () => traffic() });
  if (banned !== undefined) offered.push({ name: "banned", changes: false, takes: [], run: () => banned() });
  if (lift !== undefined) {
    offered.push({
      name: "lift",
      changes: true,
      takes: ["address"],
      run: ({ address }) => [{ lifted: lift(address!) }],
    });
  }
  if (reload !== undefined) {
    offered.push({
      name: "reload",
      changes: true,
      takes: [],
      run: async () => {
        await reload();
        return [];
      },
    });
  }
  return new Map(offered.map((operation) => [operation.name, operation]));
}

/** Finds the operation and checks what it is given. Throws OperationError. */
export function prepare(
  offered: ReadonlyMap<string, Operation>,
  name: unknown,
  given: unknown,
): () => Iterable<unknown> | Promise<Iterable<unknown>> {
  const operation = typeof name === "string" ? offered.get(name) : undefined;
  if (operation === undefined) {
    throw new OperationError(`There is no such operation; there are ${[...offered.keys()].join(", ")}`);
  }
  const checked = checkedArguments(operation, given ?? {});
  return () => operation.run(checked);
}

function checkedArguments({ name, takes }: Operation, given: unknown): Record<string, string> {
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw new OperationError(`The arguments of ${name} must be an object`);
  }
  const fields = given as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(fields).find((key) => !takes.includes(key));
  if (unknown !== undefined) {
    throw new OperationError(
      `${name} takes ${takes.join(", ") || "no arguments"}, not ${JSON.stringify(unknown.slice(0, 64))}`,
    );
  }
  const checked: Record<string, string> = {};
  for (const key of takes) {
    const value = fields[key];
    if (typeof value !== "string" || value === "" || value.length > ARGUMENT_CHARACTERS_MAX) {
      throw new OperationError(`${name} needs ${key}: a text of at most ${ARGUMENT_CHARACTERS_MAX} characters`);
    }
    checked[key] = value;
  }
  return checked;
}
