import { SeededRandom } from "../../../hostile/random.ts";

/** How often, of a thousand octets, each kind of damage begins. */
export interface NoiseRates {
  /** An octet with one bit that is another. */
  readonly flip?: number;
  readonly drop?: number;
  /** Up to 8 octets that nobody sent. */
  readonly insert?: number;
  /** Up to 16 of the last octets once more. */
  readonly repeat?: number;
}

/** What a bad line does to octets: always the same for the same seed and octets. */
export class Noise {
  rates: NoiseRates = {};
  private readonly random: SeededRandom;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
  }

  apply(bytes: Buffer): Buffer {
    const { flip = 0, drop = 0, insert = 0, repeat = 0 } = this.rates;
    if (flip + drop + insert + repeat === 0) return bytes;
    const damaged: number[] = [];
    for (const octet of bytes) {
      if (!this.happens(drop)) damaged.push(this.happens(flip) ? octet ^ (1 << this.random.below(8)) : octet);
      if (this.happens(insert)) damaged.push(...this.random.bytes(1 + this.random.below(8)));
      if (this.happens(repeat)) damaged.push(...damaged.slice(-1 - this.random.below(16)));
    }
    return Buffer.from(damaged);
  }

  private happens(perThousand: number): boolean {
    return perThousand > 0 && this.random.below(100_000) < perThousand * 100;
  }
}
