import { boundedCache } from './bounded-cache.ts';
import type { Digest } from './digest.ts';
import type { StorageDriver } from './driver.ts';
import type { ChainLink } from './lowering.ts';
import type { V1ImageId } from './names.ts';
import { v1Kept } from './paths.ts';
import { readRecord } from './records.ts';

/** A virtual image and all below it, base first, as a manifest gave it. */
export interface KeptImage {
  manifest: Digest;
  /** The image itself last. */
  links: ChainLink[];
  json: Buffer;
}

/** The `.kept` record of an image. */
export interface KeptRecord {
  manifest: Digest;
  link: ChainLink;
  /** The image first. */
  ancestry: V1ImageId[];
  /** Base64: a config may hold anything. */
  json: string;
}

/**
 * Virtual images on which others were pushed. They outlive the manifest that gave them, or else their children could not
 * be read any more (bridge.md 8.3). Garbage collection drops them with the last child.
 */
export class KeptImages {
  readonly #driver: StorageDriver;
  readonly #known = boundedCache<V1ImageId, KeptRecord>(5_000);

  constructor(driver: StorageDriver) {
    this.#driver = driver;
  }

  /** The image, if it was kept, with all below it. */
  async get(id: V1ImageId): Promise<KeptImage | undefined> {
    const record = await readRecord<KeptRecord>(this.#driver, v1Kept(id));
    if (!record) return undefined;
    const links: ChainLink[] = [];
    for (const each of record.ancestry.slice(1).reverse()) {
      const below = await this.#below(each);
      if (!below) return undefined;
      links.push(below.link);
    }
    links.push(record.link);
    return { manifest: record.manifest, links, json: Buffer.from(record.json, 'base64') };
  }

  /** Keeps an image and all below it; `jsonOf` gives the JSON of each. */
  async put(
    { manifest, links }: Omit<KeptImage, 'json'>,
    jsonOf: (id: V1ImageId) => Promise<Buffer | undefined>,
  ): Promise<void> {
    const ancestry: V1ImageId[] = [];
    for (const link of links) {
      ancestry.unshift(link.id);
      const path = v1Kept(link.id);
      if (await readRecord<KeptRecord>(this.#driver, path)) continue;
      const json = await jsonOf(link.id);
      if (!json) return;
      const record: KeptRecord = { manifest, link, ancestry, json: json.toString('base64') };
      await this.#driver.put(path, JSON.stringify(record));
    }
  }

  async #below(id: V1ImageId): Promise<KeptRecord | undefined> {
    const known = this.#known.get(id);
    if (known) return known;
    const record = await readRecord<KeptRecord>(this.#driver, v1Kept(id));
    if (record) this.#known.set(id, record);
    return record;
  }
}
