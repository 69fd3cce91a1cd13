import { availableParallelism } from 'node:os';
import type { BlobStore } from './blobs.ts';
import { boundedCache } from './bounded-cache.ts';
import {
  type BadLayer,
  isBadLayer,
  LayerDigester,
  type LayerDigesterOptions,
  type LayerFacts,
} from './bridge/layer-facts.ts';
import type { Digest } from './digest.ts';
import type { StorageDriver } from './driver.ts';
import { makeOnce } from './lease.ts';
import { gather } from './listings.ts';
import { blobFacts, blobLock, diffBlob, diffRoot } from './paths.ts';
import { putHint, putIfAbsent, readRecord } from './records.ts';
import { type Urgency, WorkQueue } from './work-queue.ts';

/** What is known of a blob as a layer, or that it is none. */
export type BlobFacts = LayerFacts | BadLayer;

/** As kept: what was found bad under other limits is looked at again. */
type FactsRecord = BlobFacts & { limits?: UnpackLimits };

/** Bounds against decompression bombs. */
export type UnpackLimits = Pick<LayerDigesterOptions, 'maxBytes' | 'maxRatio'>;

/**
 * What a blob is once it is unpacked: its encoding, and its diff ID. Found once for each blob and kept for ever,
 * since content never changes (bridge.md 2.1).
 */
export class FactStore {
  readonly #driver: StorageDriver;
  readonly #blobs: BlobStore;
  readonly #known = boundedCache<Digest, BlobFacts>(50_000);
  readonly #queue: WorkQueue<BlobFacts | undefined>;
  readonly limits: UnpackLimits;

  /** `background`: how many blobs are read at the same time while nobody waits for them. */
  constructor(driver: StorageDriver, blobs: BlobStore, limits: UnpackLimits, background = 1) {
    this.limits = limits;
    const waiting = Math.max(2, availableParallelism() - 1);
    this.#queue = new WorkQueue({ waiting, listed: waiting, background });
    this.#driver = driver;
    this.#blobs = blobs;
  }

  /** The facts, if they were ever found. */
  async known(blob: Digest): Promise<BlobFacts | undefined> {
    const known = this.#known.get(blob);
    if (known) return known;
    const facts = await readRecord<FactsRecord>(this.#driver, blobFacts(blob));
    if (!facts || (isBadLayer(facts) && !this.#isSettled(facts))) return undefined;
    this.#known.set(blob, facts);
    return facts;
  }

  /** Keeps facts that were found while the blob was received. */
  async record(blob: Digest, facts: BlobFacts): Promise<void> {
    this.#known.set(blob, facts);
    const record: FactsRecord = isBadLayer(facts) ? { ...facts, limits: this.limits } : facts;
    await putHint(this.#driver, blobFacts(blob), JSON.stringify(record));
    // A plain tar is its own diff ID.
    if (isBadLayer(facts) || facts.diffId === blob) return;
    const options = { durable: false, shared: true };
    await putIfAbsent(this.#driver, diffBlob(facts.diffId, blob), '', options);
  }

  /**
   * The facts, found by reading the blob if need be; undefined when it is not stored. Each blob is read once, whoever
   * asks on whatever worker; one that a client waits for is read ahead of all others.
   */
  async find(blob: Digest, urgency: Urgency = 'waiting'): Promise<BlobFacts | undefined> {
    return (await this.known(blob)) ?? this.#queue.run(blob, urgency, () => this.#find(blob));
  }

  /** Every blob that unpacks to this diff ID, and last the plain tar itself, whether they are stored or not. */
  async blobsOf(diffId: Digest): Promise<Digest[]> {
    const names = await gather(this.#driver.list(diffRoot(diffId)));
    return [...names.map((name) => name.replace('-', ':') as Digest), diffId];
  }

  async #find(blob: Digest): Promise<BlobFacts | undefined> {
    if ((await this.#blobs.size(blob)) === undefined) return undefined;
    const known = () => this.known(blob);
    return makeOnce(this.#driver, blobLock(blob), known, () => this.#read(blob));
  }

  async #read(blob: Digest): Promise<BlobFacts> {
    const digester = new LayerDigester({ ...this.limits, blobDigest: false });
    try {
      for await (const chunk of await this.#blobs.read(blob)) {
        await digester.write(chunk as Buffer);
      }
    } catch (error) {
      digester.abort();
      throw error;
    }
    const facts = await digester.finish();
    await this.record(blob, facts);
    return facts;
  }

  /** Whether a blob that was found bad is so under the limits of today as well. */
  #isSettled({ limits }: FactsRecord): boolean {
    const { maxBytes, maxRatio } = this.limits;
    return !limits || (limits.maxBytes === maxBytes && limits.maxRatio === maxRatio);
  }
}
