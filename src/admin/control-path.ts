import { join } from "node:path";

export const CONTROL_SOCKET = "control.sock";

/** sun_path has 108 bytes, the last of which is a zero. */
const PATH_BYTES_MAX = 107;

/** Where services of systemd find theirs when nobody says otherwise. */
const RUNTIME_FOLDER = "/run/mqtt-broker";

/**
 * Where the broker's control socket is: in its data folder, or where it has none or that path is too long, in its runtime folder
 * (RUNTIME_DIRECTORY, as systemd sets it). Where all are too long, the first of them; undefined: there is no folder.
 */
export function controlPath(dataDir: string | undefined, runtimeDirectory: string | undefined): string | undefined {
  // systemd lists several with colons.
  const paths = pathsIn([dataDir, runtimeDirectory?.split(":")[0]]);
  return paths.find(isShortEnough) ?? paths[0];
}

/** Can a socket be there? */
export function isShortEnough(path: string): boolean {
  return Buffer.byteLength(path) <= PATH_BYTES_MAX;
}

/**
 * Where whoever asks looks for it, who does not know what systemd told the service. `isNamed`: the folder of a certain broker, so
 * that no other one is asked.
 */
export function controlPathsToAsk(dataDir: string, isNamed: boolean): string[] {
  const paths = pathsIn([dataDir, RUNTIME_FOLDER]).filter(isShortEnough);
  return isNamed ? paths.slice(0, 1) : paths;
}

function pathsIn(folders: readonly (string | undefined)[]): string[] {
  return folders
    .filter((folder) => folder !== undefined && folder !== "")
    .map((folder) => join(folder!, CONTROL_SOCKET));
}
