import { availableParallelism } from 'node:os';
import { LRUCache } from 'lru-cache';
import type { BlobStore } from './blobs.ts';
import {
  type BadLayer,
  isBadLayer,
  LayerDigester,
  type LayerDigesterOptions,
  type LayerFacts,
} from './bridge/layer-facts.ts';
import type { Digest } from './digest.ts';
import type { StorageDriver } from './driver.ts';
import { gather } from './listings.ts';
import { blobFacts, diffBlob, diffRoot } from './paths.ts';
import { readRecord } from './records.ts';

/** What is known of a blob as a layer, or that it is none. */
export type BlobFacts = LayerFacts | BadLayer;

/** Bounds against decompression bombs. */
export type UnpackLimits = Pick<LayerDigesterOptions, 'maxBytes' | 'maxRatio'>;

/**
 * What a blob is once it is unpacked: its encoding, and its diff ID. Found once for each blob and kept for ever,
 * since content never changes (bridge.md 2.1).
 */
export class FactStore {
  readonly #driver: StorageDriver;
  readonly #blobs: BlobStore;
  readonly #known = new LRUCache<Digest, BlobFacts>({ max: 50_000 });
  readonly #running = new Map<Digest, Promise<BlobFacts | undefined>>();
  #slots = Math.max(1, availableParallelism() - 1);
  readonly #queue: (() => void)[] = [];
  readonly limits: UnpackLimits;

  constructor(driver: StorageDriver, blobs: BlobStore, limits: UnpackLimits) {
    this.limits = limits;
    this.#driver = driver;
    this.#blobs = blobs;
  }

  /** The facts, if they were ever found. */
  async known(blob: Digest): Promise<BlobFacts | undefined> {
    const known = this.#known.get(blob);
    if (known) return known;
    const facts = await readRecord<BlobFacts>(this.#driver, blobFacts(blob));
    if (facts) this.#known.set(blob, facts);
    return facts;
  }

  /** Keeps facts that were found while the blob was received. */
  async record(blob: Digest, facts: BlobFacts): Promise<void> {
    this.#known.set(blob, facts);
    await this.#driver.put(blobFacts(blob), JSON.stringify(facts), { durable: false });
    if (!isBadLayer(facts)) {
      await this.#driver.put(diffBlob(facts.diffId, blob), '', { durable: false });
    }
  }

  /** The facts, found now by reading the blob if need be; undefined when it is not stored. One reading at a time. */
  async find(blob: Digest): Promise<BlobFacts | undefined> {
    const known = await this.known(blob);
    if (known) return known;
    let running = this.#running.get(blob);
    if (!running) {
      running = this.#read(blob).finally(() => this.#running.delete(blob));
      this.#running.set(blob, running);
    }
    return running;
  }

  /** Every stored blob that unpacks to this diff ID. */
  async blobsOf(diffId: Digest): Promise<Digest[]> {
    const names = await gather(this.#driver.list(diffRoot(diffId)));
    return names.map((name) => name.replace('-', ':') as Digest);
  }

  async #read(blob: Digest): Promise<BlobFacts | undefined> {
    await this.#enter();
    try {
      if ((await this.#blobs.size(blob)) === undefined) return undefined;
      const digester = new LayerDigester({ ...this.limits, blobDigest: false });
      for await (const chunk of await this.#blobs.read(blob)) {
        await digester.write(chunk as Buffer);
      }
      const facts = await digester.finish();
      await this.record(blob, facts);
      return facts;
    } finally {
      this.#slots += 1;
      this.#queue.shift()?.();
    }
  }

  async #enter(): Promise<void> {
    while (this.#slots === 0) await new Promise<void>((done) => this.#queue.push(done));
    this.#slots -= 1;
  }
}
