import { spawnSync } from "node:child_process";
import { join } from "node:path";

/** How clients reach a broker: over what, and with which of the two certificates where there is TLS. */
export interface Way {
  name: string;
  title: string;
  over: "tcp" | "tls" | "ws" | "wss" | "unix";
  key: "ecdsa" | "rsa";
  /** Words for the generator: which version of TLS it speaks, and how it makes WebSocket messages. */
  client: readonly string[];
}

/** A certificate, and its key: files with PEM. */
export interface Identity {
  certificate: string;
  key: string;
}
export type Identities = Readonly<Record<Way["key"], Identity>>;

/** Where one broker listens: a free port, or the path of a Unix socket, and who it says that it is. */
export interface Door {
  way: Way;
  port: number;
  path: string;
  identity: Identity;
}

/** Makes the two certificates, which sign themselves. Throws with the line that installs what it needs. */
export function makeIdentities(folder: string): Identities {
  const make = (name: Way["key"], ...algorithm: string[]): Identity => {
    const made = { certificate: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
    const files = ["-out", made.certificate, "-keyout", made.key];
    const words = ["req", "-x509", "-nodes", "-days", "365", "-subj", "/CN=localhost", ...algorithm, ...files];
    const { error, status, stderr } = spawnSync("openssl", words, { encoding: "utf8" });
    if (error !== undefined) throw new Error("openssl makes the certificates: apt-get install -y openssl");
    if (status !== 0) throw new Error(`Cannot make a certificate: ${stderr}`);
    return made;
  };
  return {
    ecdsa: make("ecdsa", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
    rsa: make("rsa", "-newkey", "rsa:2048"),
  };
}

/** Options with which our broker listens there and nowhere else. */
export function ourWords({ way, port, path, identity }: Door): string[] {
  const shown = ["--server-crt", identity.certificate, "--server-key", identity.key];
  switch (way.over) {
    case "tcp":
      return ["--tcp-port", String(port)];
    case "tls":
      return ["--tls-port", String(port), ...shown];
    case "ws":
      return ["--ws-port", String(port)];
    case "wss":
      return ["--ws-tls-port", String(port), ...shown];
    case "unix":
      return ["--unix-socket", path];
  }
}

/** The same for Mosquitto's configuration. As root it would become a user to whom our folder is closed. */
export function mosquittoLines({ way, port, path, identity }: Door): string[] {
  const isWeb = way.over === "ws" || way.over === "wss";
  return [
    "user root",
    // One whose listeners all speak WebSocket takes itself to have none, and ends.
    ...(isWeb ? [`listener 0 ${path}`] : []),
    way.over === "unix" ? `listener 0 ${path}` : `listener ${port} 127.0.0.1`,
    ...(isWeb ? ["protocol websockets"] : []),
    ...(way.over === "tls" || way.over === "wss"
      ? [`certfile ${identity.certificate}`, `keyfile ${identity.key}`]
      : []),
  ];
}

/** Words with which the generator goes there. */
export function clientWords({ way, port, path }: Door): string[] {
  return [...(way.over === "unix" ? ["--path", path] : ["--port", String(port)]), ...way.client];
}

/** The same for the generator as a server. */
export function sinkWords(door: Door): string[] {
  const { certificate, key } = door.identity;
  const isTls = door.way.over === "tls" || door.way.over === "wss";
  return [...clientWords(door), ...(isTls ? ["--certificate", certificate, "--key", key] : [])];
}
