import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const CONFIGURATION = `[ca]
default_ca=own
[own]
new_certs_dir=.
database=index.txt
default_md=sha256
policy=any
unique_subject=no
rand_serial=yes
[any]
commonName=optional
[crl_changes]
2.5.29.27=critical,ASN1:INTEGER:1
`;
const KEYS: Record<string, string[]> = {
  ec: ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
  small: ["rsa:1024"],
  rsa: ["rsa:2048"],
  ed25519: ["ed25519"],
};
/** As most authorities are made. */
export const AUTHORITY = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"];

export interface Order {
  /** Who signs; without it the certificate does so itself. */
  by?: string;
  subject?: string;
  /** Lines of openssl's configuration; none make a certificate of the first version. */
  extensions?: readonly string[];
  /** Years, of which the certificate is good from the first of January to the first of January. */
  from?: number;
  until?: number;
  key?: keyof typeof KEYS;
  /** A key that another certificate has. */
  keyOf?: string;
  hash?: string;
}

/** Certificates and lists of all kinds, also such as nobody should make, by openssl, and what openssl says of them. */
export class ChainKit {
  readonly path = mkdtempSync(join(tmpdir(), "mqtt-broker-chains-"));
  private readonly requests = new Set<string>();

  constructor() {
    writeFileSync(join(this.path, "ca.cnf"), CONFIGURATION);
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  /** The texts of these files, one behind the other. */
  text(...names: readonly string[]): string {
    return names.map((name) => readFileSync(join(this.path, name), "utf8")).join("");
  }

  /** Makes NAME.crt and NAME.key. */
  certificate(name: string, order: Order = {}): void {
    const {
      by,
      subject = name,
      extensions = [],
      from = 2020,
      until = 2040,
      key = "ec",
      keyOf,
      hash = "sha256",
    } = order;
    const isAuthority = by === undefined || extensions.some((line) => line.includes("CA:TRUE"));
    // To make a key is to start a program. Those that sign need one of their own, clients can do with one of its kind.
    const request = keyOf ?? (isAuthority ? name : key);
    this.request(request, key);
    if (request !== name) this.write(`${name}.key`, this.text(`${request}.key`));
    this.clear();
    const signer =
      by === undefined ? ["-selfsign", "-keyfile", `${name}.key`] : ["-cert", `${by}.crt`, "-keyfile", `${by}.key`];
    const dates = ["-startdate", `${from}0101000000Z`, "-enddate", `${until}0101000000Z`];
    writeFileSync(join(this.path, "extensions"), `${extensions.join("\n")}\n`);
    const more = extensions.length === 0 ? [] : ["-extfile", "extensions"];
    const way = key === "ed25519" && by === undefined ? "default" : hash;
    const whose = ["-in", `${request}.csr`, "-subj", `/CN=${subject}`];
    const made = [...whose, "-out", `${name}.crt`, "-notext", "-md", way, ...more];
    this.openssl("ca", "-batch", "-config", "ca.cnf", ...signer, ...dates, ...made);
  }

  /** Makes FILE with the list of AUTHORITY, of these certificates, good for these years. */
  list(file: string, authority: string, revoked: readonly string[] = [], years = [2020, 2040], section = ""): void {
    const serials = revoked.map(
      (name) => this.openssl("x509", "-in", `${name}.crt`, "-noout", "-serial").split("=")[1]!,
    );
    this.clear(serials.map((serial) => `R\t350101000000Z\t250101000000Z\t${serial.trim()}\tunknown\t/CN=x\n`).join(""));
    const [from, until] = years;
    const dates = ["-crl_lastupdate", `${from}0101000000Z`, "-crl_nextupdate", `${until}0101000000Z`];
    const signer = ["-cert", `${authority}.crt`, "-keyfile", `${authority}.key`];
    const more = section === "" ? [] : ["-crlexts", section];
    this.openssl("ca", "-config", "ca.cnf", "-gencrl", ...signer, ...dates, ...more, "-out", file);
  }

  /** Whether openssl would let this client in at that time (seconds since 1970). */
  async verdict(
    file: string,
    { ca, sent, crl, atMs }: { ca: string; sent?: string; crl?: string | undefined; atMs: number },
  ): Promise<boolean> {
    const words = [
      "verify",
      "-CAfile",
      ca,
      "-attime",
      String(atMs / 1000),
      "-purpose",
      "sslclient",
      "-auth_level",
      "2",
    ];
    if (sent !== undefined) words.push("-untrusted", sent);
    if (crl !== undefined) words.push("-crl_check_all", "-CRLfile", crl);
    try {
      await promisify(execFile)("openssl", [...words, "-no-CApath", "-no-CAstore", file], { cwd: this.path });
      return true;
    } catch {
      return false;
    }
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.path, name), text);
  }

  /** Makes NAME.csr and NAME.key, if they are not there. */
  private request(name: string, key: keyof typeof KEYS): void {
    if (this.requests.has(name)) return;
    this.requests.add(name);
    const made = ["-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`];
    this.openssl("req", "-newkey", ...KEYS[key]!, "-nodes", ...made);
  }

  private clear(index = ""): void {
    writeFileSync(join(this.path, "index.txt"), index);
  }

  private openssl(...words: string[]): string {
    return execFileSync("openssl", words, { cwd: this.path, stdio: "pipe", encoding: "utf8" });
  }
}
