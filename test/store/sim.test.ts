import { SeededRandom } from "../hostile/random.ts";
import { VirtualDisk } from "../sim/disk.ts";
import { SimStore } from "../sim/store.ts";
import { type Happening, Timeline } from "../sim/timeline.ts";
import { storeSuite } from "./suite.ts";

/** Virtual time that passes by itself, as fast as it can. */
class RestlessTimeline extends Timeline {
  private isComing = false;

  override at(atMs: number, run: () => void): Happening {
    this.come();
    return super.at(atMs, run);
  }

  private come(): void {
    if (this.isComing) return;
    this.isComing = true;
    setImmediate(() => {
      this.isComing = false;
      if (this.step()) this.come();
    });
  }
}

storeSuite("simulated", async () => {
  const timeline = new RestlessTimeline();
  const random = new SeededRandom(1);
  const crashPoints = { pass: () => false };
  const disk = new VirtualDisk(timeline, random, crashPoints);
  const onResolved = () => undefined;
  return {
    create: () => new SimStore({ disk, timeline, random, crashPoints, readMs: 5, damages: 0, onResolved }),
    remove: async () => undefined,
  };
});
