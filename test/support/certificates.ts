import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
const CONFIGURATION = `[ca]
default_ca=own
[own]
database=index.txt
default_md=sha256
default_crl_days=2
`;

/** A folder with certificates that openssl made, each NAME.crt with its NAME.key: what our own code is not asked for. */
export class CertificateFolder {
  readonly path = mkdtempSync(join(tmpdir(), "mqtt-broker-certificates-"));

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  file(name: string): string {
    return join(this.path, name);
  }

  text(name: string): string {
    return readFileSync(this.file(name), "utf8");
  }

  write(name: string, text: string): string {
    writeFileSync(this.file(name), text);
    return this.file(name);
  }

  /** Copies in one step, as certbot's hooks and careful people do. */
  replace(name: string, by: string): void {
    copyFileSync(this.file(by), this.file(`${name}.new`));
    renameSync(this.file(`${name}.new`), this.file(name));
  }

  authority(name: string): void {
    const out = ["-keyout", `${name}.key`, "-out", `${name}.crt`];
    this.openssl("req", ...NEW_KEY, "-x509", ...out, "-subj", `/CN=${name}`, "-days", "3650");
  }

  /** `names`: as openssl writes them, "DNS:localhost,IP:127.0.0.1". With 0 days it has expired as it is made. */
  issue(name: string, authority: string, commonName: string, names = `DNS:${commonName}`, days = 365): void {
    this.openssl("req", ...NEW_KEY, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${commonName}`);
    this.write("names", `subjectAltName=${names}`);
    const signer = ["-CA", `${authority}.crt`, "-CAkey", `${authority}.key`, "-CAcreateserial"];
    const made = ["-out", `${name}.crt`, "-extfile", "names", "-days", String(days)];
    this.openssl("x509", "-req", "-in", `${name}.csr`, ...signer, ...made);
  }

  /** Makes AUTHORITY.crl, a list of these certificates. */
  revoke(authority: string, ...names: string[]): void {
    const serials = names.map((name) => this.openssl("x509", "-in", `${name}.crt`, "-noout", "-serial").split("=")[1]!);
    const lines = serials.map((serial) => `R\t350101000000Z\t250101000000Z\t${serial.trim()}\tunknown\t/CN=x\n`);
    this.write("index.txt", lines.join(""));
    this.write("ca.cnf", CONFIGURATION);
    const signer = ["-cert", `${authority}.crt`, "-keyfile", `${authority}.key`];
    this.openssl("ca", "-config", "ca.cnf", "-gencrl", ...signer, "-out", `${authority}.crl`);
  }

  openssl(...words: string[]): string {
    return execFileSync("openssl", words, { cwd: this.path, stdio: "pipe", encoding: "utf8" });
  }
}
