import { randomUUID } from 'node:crypto';
import { pipeline } from 'node:stream';
import { createGzip } from 'node:zlib';
import type { FactStore } from './blob-facts.ts';
import type { BlobStore } from './blobs.ts';
import { LayerDigester } from './bridge/layer-facts.ts';
import type { V2Layer } from './bridge/lift.ts';
import type { Digest } from './digest.ts';
import type { StorageDriver } from './driver.ts';
import { makeOnce } from './lease.ts';
import { blobCompressed, blobTar } from './paths.ts';
import { readRecord } from './records.ts';

/** The outcome of one run of a compressor: another run may give other bytes, so it is kept for ever. */
interface Compressed {
  blob: Digest;
  /** Bytes. */
  size: number;
}

/** Plain layers that were compressed once for V2 clients (`bridge.compressPlain`, bridge.md 4.3). */
export class CompressedLayers {
  readonly #driver: StorageDriver;
  readonly #blobs: BlobStore;
  readonly #facts: FactStore;

  constructor(driver: StorageDriver, blobs: BlobStore, facts: FactStore) {
    this.#driver = driver;
    this.#blobs = blobs;
    this.#facts = facts;
  }

  /** The layer compressed, if that was ever done; the layer itself otherwise. */
  async known(layer: V2Layer): Promise<V2Layer> {
    const compressed = layer.gzip ? undefined : await this.#record(layer.diffId);
    return compressed ? listed(layer, compressed) : layer;
  }

  /** The layer compressed; its plain tar is stored under its diff ID. */
  async of(layer: V2Layer): Promise<V2Layer> {
    if (layer.gzip) return layer;
    const { diffId } = layer;
    // Beside the lock of the tar itself: whoever makes that one must not wait for us.
    const lock = `${blobCompressed(diffId)}-lock`;
    const known = () => this.#record(diffId);
    return listed(layer, await makeOnce(this.#driver, lock, known, () => this.#make(layer)));
  }

  async #record(diffId: Digest): Promise<Compressed | undefined> {
    const record = await readRecord<Compressed>(this.#driver, blobCompressed(diffId));
    return record && (await this.#blobs.size(record.blob)) === record.size ? record : undefined;
  }

  async #make({ diffId, digest, size: diffSize }: V2Layer): Promise<Compressed> {
    const staged = `${blobTar(diffId)}-${randomUUID()}`;
    const digester = new LayerDigester();
    try {
      const source = pipeline(await this.#blobs.read(digest), createGzip(), () => undefined);
      const size = await this.#driver.append(staged, 0, source, (chunk) => digester.write(chunk));
      await digester.finish();
      const blob = digester.blobDigest as Digest;
      await this.#blobs.adopt(staged, blob, size);
      await this.#facts.record(blob, { encoding: 'gzip', diffId, diffSize, rules: 1 });
      const record: Compressed = { blob, size };
      await this.#driver.put(blobCompressed(diffId), JSON.stringify(record));
      return record;
    } finally {
      digester.abort();
      await this.#driver.delete(staged, { durable: false });
    }
  }
}

function listed({ diffId }: V2Layer, { blob, size }: Compressed): V2Layer {
  return { source: 'blob', digest: blob, size, diffId, gzip: true };
}
