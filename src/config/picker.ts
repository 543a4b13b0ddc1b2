import { resolve } from "node:path";
import type { Problem } from "../text/problem.ts";
import type { Files } from "./files.ts";
import type { Assignment, Origin } from "./layer.ts";
import type { Value } from "./value.ts";

/** Values by key. The type parameter states what the option's type has ensured. */
export class Picker {
  private readonly values: ReadonlyMap<string, Assignment[]>;
  private readonly workingDirectory: string;

  constructor(values: ReadonlyMap<string, Assignment[]>, workingDirectory: string) {
    this.values = values;
    this.workingDirectory = workingDirectory;
  }

  value<T extends Value | undefined>(key: string, otherwise: T): T {
    return (this.values.get(key)?.at(-1)?.value as T | null | undefined) ?? otherwise;
  }

  optional(key: string): number | undefined {
    return (this.values.get(key)?.at(-1)?.value as number | null | undefined) ?? undefined;
  }

  /** Where the value came from; only for keys that have one. */
  origin(key: string): Origin {
    return this.values.get(key)!.at(-1)!.origin;
  }

  /** All values whose key begins with `prefix`, by the rest of it. */
  within<T extends Value>(prefix: string): [name: string, value: T][] {
    return [...this.values].flatMap(([key, assignments]) =>
      key.startsWith(prefix) ? [[key.slice(prefix.length), assignments.at(-1)!.value as T]] : [],
    );
  }

  path(key: string): string | undefined {
    const assignment = this.values.get(key)?.at(-1);
    return assignment === undefined ? undefined : this.resolve(assignment);
  }

  /** Absolute paths of files, each of which must exist. */
  paths(key: string, files: Files, problems: Problem[]): string[] {
    return (this.values.get(key) ?? []).map((assignment) => {
      const path = this.resolve(assignment);
      try {
        if (files.read(path) === undefined) problems.push(assignment.origin.problem("error", `${path} does not exist`));
      } catch (error) {
        problems.push(assignment.origin.problem("error", `Cannot be read: ${(error as Error).message}`));
      }
      return path;
    });
  }

  /** All values of a repeatable option that takes texts. */
  texts(key: string): string[] {
    return (this.values.get(key) ?? []).map(({ value }) => String(value));
  }

  assignments(key: string): readonly Assignment[] {
    return this.values.get(key) ?? [];
  }

  /** Absolute paths of files that need not exist yet. */
  filesOf(key: string): string[] {
    return (this.values.get(key) ?? []).map((assignment) => this.resolve(assignment));
  }

  private resolve({ value, directory }: Assignment): string {
    return resolve(this.workingDirectory, directory ?? "", String(value));
  }
}
