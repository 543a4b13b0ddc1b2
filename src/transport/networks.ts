import { BlockList, isIP } from "node:net";

/** Addresses and networks: "192.168.1.2", "10.0.0.0/8", "fd00::/8". */
export class Networks {
  private readonly list = new BlockList();

  /** Throws a RangeError that names what is neither. */
  constructor(texts: readonly string[]) {
    for (const text of texts) {
      const [address = "", bits, ...more] = text.split("/");
      const family = address.includes("%") ? 0 : isIP(address);
      const most = family === 4 ? 32 : 128;
      const isNetwork = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most && more.length === 0);
      if (family === 0 || !isNetwork) {
        throw new RangeError(`${JSON.stringify(text)} is no address and no network such as 10.0.0.0/8`);
      }
      this.list.addSubnet(address, bits === undefined ? most : Number(bits), family === 4 ? "ipv4" : "ipv6");
    }
  }

  /** Whether `address` is in one of them; one with a zone, "fe80::1%eth0", counts without it. */
  has(address: string): boolean {
    const plain = address.replace(/%.*$/, "");
    const family = isIP(plain);
    return family !== 0 && this.list.check(plain, family === 4 ? "ipv4" : "ipv6");
  }
}
