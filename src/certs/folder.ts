import { createPrivateKey, type X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { factsOf, readCertificates } from "./facts.ts";
import { type KeptAuthority, plainSerial, type Revoked, readRevocationList } from "./x509.ts";

/** One certificate that the authority has made, remembered so that it can be revoked when its file is elsewhere. */
export interface Issued {
  readonly name: string;
  /** Hexadecimal, lower case. */
  readonly serial: string;
  /** Milliseconds since 1970. */
  readonly untilMs: number;
}

/** Names of files that are not those of clients. */
export const RESERVED_NAMES: readonly string[] = ["ca", "server", "issued"];

/** A folder of certificates with its authority, as `certs init` makes it. Methods throw Error that names the file. */
export class CertificateFolder {
  readonly path: string;
  /** As users call it. */
  readonly name: string;

  constructor(path: string, name: string) {
    this.path = path;
    this.name = name;
  }

  file(name: string): string {
    return join(this.path, name);
  }

  shown(name: string): string {
    return join(this.name, name);
  }

  has(name: string): boolean {
    return existsSync(this.file(name));
  }

  read(name: string): string {
    try {
      return readFileSync(this.file(name), "utf8");
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === "ENOENT") throw new Error(`There is no ${this.shown(name)}: ${this.adviceOnMissing(name)}`);
      throw new Error(`Cannot read ${this.shown(name)}: ${message}`);
    }
  }

  private adviceOnMissing(name: string): string {
    if (name !== "ca.crt" && this.has("ca.crt")) return "put back the copy that you have of it";
    return "mqtt-broker certs init makes it; --dir names another folder";
  }

  /** The first certificate of a file: what follows are those who signed it. */
  certificate(name: string): X509Certificate {
    const pem = this.read(name);
    try {
      return readCertificates(pem)[0]!;
    } catch (error) {
      throw new Error(`${this.shown(name)}: ${(error as Error).message}`);
    }
  }

  /** A private key of this folder that belongs to the certificate of the same name. */
  key(name: string): string {
    const pem = this.read(`${name}.key`);
    const certificate = this.certificate(`${name}.crt`);
    const shown = this.shown(`${name}.key`);
    let fits: boolean;
    try {
      fits = certificate.checkPrivateKey(createPrivateKey(pem));
    } catch {
      throw new Error(`${shown} is no private key that can be read without a password`);
    }
    if (fits) return pem;
    throw new Error(`${shown} does not belong to ${this.shown(`${name}.crt`)}: put back the file that does`);
  }

  /** Who signs here. `nowMs`: one that is over signs nothing. */
  authority(nowMs: number): KeptAuthority {
    const certificate = this.certificate("ca.crt");
    const key = this.key("ca");
    const { validity } = factsOf(certificate);
    const curve = createPrivateKey(key).asymmetricKeyDetails?.namedCurve;
    if (!certificate.ca || curve !== "prime256v1") {
      throw new Error(
        `${this.shown("ca.crt")} is no authority made by mqtt-broker certs init: sign with the tool that made it`,
      );
    }
    if (validity.untilMs <= nowMs) {
      const date = new Date(validity.untilMs).toISOString().slice(0, 10);
      const advice = "mqtt-broker certs init --force makes a new one, for which all clients need new files";
      throw new Error(`The authority ${this.shown("ca.crt")} has expired on ${date}: ${advice}`);
    }
    return { certificate: certificate.toString(), key, validity };
  }

  /** What is revoked so far. */
  async revoked(): Promise<Revoked[]> {
    if (!this.has("ca.crl")) return [];
    const shown = this.shown("ca.crl");
    let list: Revoked[] | undefined;
    try {
      list = await readRevocationList(this.read("ca.crl"), this.certificate("ca.crt").toString());
    } catch {
      throw new Error(`${shown} is no list of revoked certificates: put back a copy of it`);
    }
    if (list === undefined)
      throw new Error(`${shown} is not signed by ${this.shown("ca.crt")}: put back the list that is`);
    return list;
  }

  /** All that was made here for clients. Empty when nothing was. */
  issued(): Issued[] {
    if (!this.has("issued.json")) return [];
    let list: unknown;
    try {
      list = JSON.parse(this.read("issued.json"));
    } catch {
      list = undefined;
    }
    if (Array.isArray(list) && list.every(isIssued)) return list;
    throw new Error(`${this.shown("issued.json")} is damaged: put back a copy of it, or remove it`);
  }

  /** The certificates of a client that were made here and are not over. */
  issuedTo(client: string, nowMs: number): Issued[] {
    const list = this.issued().filter(({ name, untilMs }) => name === client && untilMs > nowMs);
    if (!this.has(`${client}.crt`)) return list;
    // The record may have been lost; the file tells as well, if this authority has signed it.
    const certificate = this.certificate(`${client}.crt`);
    if (!certificate.verify(this.certificate("ca.crt").publicKey)) return list;
    const { serial, validity } = factsOf(certificate);
    if (list.some((one) => one.serial === serial) || validity.untilMs <= nowMs) return list;
    return [...list, { name: client, serial: plainSerial(serial), untilMs: validity.untilMs }];
  }
}

function isIssued(item: unknown): item is Issued {
  const { name, serial, untilMs } = (item ?? {}) as Partial<Record<keyof Issued, unknown>>;
  return typeof name === "string" && typeof serial === "string" && typeof untilMs === "number";
}
