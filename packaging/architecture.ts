/** What executables are made for, as Node.js calls it: both are 64 bit, since there is no current Node.js for 32 bit. */
export type Architecture = "x64" | "arm64";

export const ARCHITECTURES: readonly Architecture[] = ["x64", "arm64"];

/** As Debian calls it. */
export const DEBIAN_NAMES: Readonly<Record<Architecture, string>> = { x64: "amd64", arm64: "arm64" };

/** Before the names of the compiler and its tools, and in Debian's packages of them with hyphens only. */
const TRIPLES: Readonly<Record<Architecture, string>> = { x64: "x86_64-linux-gnu", arm64: "aarch64-linux-gnu" };

/** What this machine runs. Throws on any other. */
export function hostArchitecture(): Architecture {
  const found = ARCHITECTURES.find((one) => one === process.arch);
  if (found === undefined) throw new Error(`Built on x64 and arm64 machines only: this is ${process.arch}`);
  return found;
}

export interface Tool {
  command: string;
  /** Debian's package that has it, and what it needs to be of use. */
  debianPackages: string;
}

/** Compiler or `strip` for that architecture, which may be another one than this machine's. */
export function toolFor(architecture: Architecture, name: "gcc" | "strip"): Tool {
  if (architecture === hostArchitecture()) {
    return { command: name, debianPackages: name === "gcc" ? "gcc libc6-dev" : "binutils" };
  }
  const triple = TRIPLES[architecture];
  const inPackages = triple.replaceAll("_", "-");
  const compiler = `gcc-${inPackages} libc6-dev-${DEBIAN_NAMES[architecture]}-cross`;
  return { command: `${triple}-${name}`, debianPackages: name === "gcc" ? compiler : `binutils-${inPackages}` };
}
