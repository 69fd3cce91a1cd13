import { beforeEach } from 'node:test';
import { ContentStore } from '../../storage/content-store.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import { checked } from '../../storage/drivers/checked.ts';
import { MemoryDriver } from '../../storage/drivers/memory.ts';
import {
  collectGarbage,
  type GarbageOptions,
  type GarbageReport,
} from '../../storage/garbage-collection.ts';
import { DistributionTree } from './distribution-tree.ts';
import type { Described, Image } from './oci-content.ts';

/** A tree in distribution's layout, and garbage collection over it. */
export class GarbageRig {
  readonly driver: StorageDriver = checked(new MemoryDriver());
  readonly tree = new DistributionTree(this.driver);
  /** What collections printed. */
  readonly lines: string[] = [];

  /** Collects without a grace time, unless told otherwise. */
  collect(options: Partial<GarbageOptions> = {}): Promise<GarbageReport> {
    return collectGarbage(
      new ContentStore(this.driver),
      { dryRun: false, deleteUntagged: false, graceMs: -1, ...options },
      (line) => this.lines.push(line),
    );
  }

  /** Writes an image with all that it names. */
  async write(name: string, one: Image, ...tags: string[]): Promise<Image> {
    for (const blob of [one.config, ...one.layers]) await this.tree.blob(name, blob);
    await this.tree.manifest(name, one, ...tags);
    return one;
  }

  /** Whether the data of each is there. */
  stored(...all: Described[]): Promise<boolean[]> {
    return Promise.all(all.map((one) => this.tree.has(one.digest)));
  }
}

/** A rig for the tests of the suite that calls this, a fresh one for each. */
export function useGarbageRig(): { readonly rig: GarbageRig } {
  const holder = { rig: new GarbageRig() };
  beforeEach(() => {
    holder.rig = new GarbageRig();
  });
  return holder;
}

export const partsOf = (one: Image): Described[] => [one, one.config, ...one.layers];
