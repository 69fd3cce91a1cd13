import { Readable } from 'node:stream';
import type { FactStore } from './blob-facts.ts';
import type { BlobStore } from './blobs.ts';
import { EMPTY_TAR } from './bridge/chain-id.ts';
import { decompressed, type LayerEncoding } from './bridge/layer-encoding.ts';
import { isBadLayer } from './bridge/layer-facts.ts';
import type { Digest } from './digest.ts';
import type { LayerRecord } from './explicit-images.ts';
import type { ChainLink } from './lowering.ts';
import type { LayerBody } from './v1-images.ts';

/** What V1 sends for a layer (bridge.md 3.4, 4.3). */
export class LayerBodies {
  readonly #blobs: BlobStore;
  readonly #facts: FactStore;

  constructor(blobs: BlobStore, facts: FactStore) {
    this.#blobs = blobs;
    this.#facts = facts;
  }

  /** A layer as it was pushed; one of 0 bytes is sent as the empty tar: docker 1.5 fails on nothing at all. */
  explicit({ blob, size }: LayerRecord): LayerBody {
    if (size > 0) return this.#stored(blob, size);
    return {
      size: EMPTY_TAR.length,
      seekable: true,
      open: async (range) => {
        const { start, end } = range ?? { start: 0, end: EMPTY_TAR.length - 1 };
        return Readable.from([EMPTY_TAR.subarray(start, end + 1)]);
      },
    };
  }

  /** gzip and plain tar go out as they lie; what old engines cannot read goes out as the plain tar. */
  async virtual(link: ChainLink): Promise<LayerBody> {
    const { blob, size, encoding, diffId, diffSize } = link;
    if (isSendable(encoding)) return this.explicit({ blob, size, encoding });
    const other = await this.#sameTar(diffId);
    if (other) return other;
    return {
      size: diffSize,
      seekable: false,
      open: async () =>
        decompressed(await this.#blobs.read(blob), encoding, { maxBytes: diffSize }),
    };
  }

  /** A stored blob with the same tar inside that can be sent as it lies: gzip first, then the plain tar. */
  async #sameTar(diffId: Digest): Promise<LayerBody | undefined> {
    let plain: LayerBody | undefined;
    for (const blob of await this.#facts.blobsOf(diffId)) {
      const facts = await this.#facts.known(blob);
      const size = await this.#blobs.size(blob);
      if (!facts || isBadLayer(facts) || size === undefined) continue;
      if (facts.encoding === 'gzip') return this.#stored(blob, size);
      if (facts.encoding === 'none') plain = this.#stored(blob, size);
    }
    return plain;
  }

  #stored(blob: Digest, size: number): LayerBody {
    return { size, seekable: true, blob, open: (range) => this.#blobs.read(blob, range) };
  }
}

function isSendable(encoding: LayerEncoding): boolean {
  return encoding === 'gzip' || encoding === 'none';
}
