import { createHash, type Hash } from 'node:crypto';
import type { Writable } from 'node:stream';
import { type Digest, digestSoFar } from '../digest.ts';
import {
  createDecompressor,
  DEFAULT_MAX_LAYER_BYTES,
  type LayerEncoding,
  SNIFF_LENGTH,
  sniffEncoding,
} from './layer-encoding.ts';

/** The number of the rules by which facts are computed; it rises when a rule changes (bridge.md 8.1). */
const FACTS_RULES = 1;

/** What a blob's bytes say about it as a layer: kept for ever (2.1). */
export interface LayerFacts {
  encoding: LayerEncoding;
  /** The sha256 of the uncompressed tar. */
  diffId: Digest;
  /** Bytes of the uncompressed tar. */
  diffSize: number;
  rules: 1;
}

/** A blob that does not decompress to its end; served over the protocol it came by, never bridged. */
export interface BadLayer {
  encoding: LayerEncoding;
  /** Why, in a few words. */
  bad: string;
  rules: 1;
}

export function isBadLayer(facts: LayerFacts | BadLayer): facts is BadLayer {
  return 'bad' in facts;
}

export interface LayerDigesterOptions {
  /** Most bytes of uncompressed tar; a blob that gives more is bad. Default 64 GiB. */
  maxBytes?: number;
  /** Most bytes of tar for each byte of blob, once 1 MiB has come out; default none. */
  maxRatio?: number;
  /** Sees the uncompressed tar pass, such as a TarSum. Not called again once the blob is known to be bad. */
  onTar?: (chunk: Buffer) => void;
  /** False leaves out the digest of the blob itself, where the caller has it. Default true. */
  blobDigest?: boolean;
}

/** Small blobs may have any ratio: a short run of zeros is no bomb. */
const RATIO_FLOOR = 2 ** 20;

/**
 * Computes a blob's digest and its facts in one pass over bytes that it is fed. A malformed blob is `bad`, never an
 * error. Chunks are kept until they are decompressed, so their memory must not be written to again.
 */
export class LayerDigester {
  readonly #options: LayerDigesterOptions;
  readonly #blobHash: Hash | undefined;
  #tarHash = createHash('sha256');
  #head: Buffer | undefined = Buffer.alloc(0);
  #encoding: LayerEncoding = 'none';
  #stream: Writable | undefined;
  #ended: Promise<void> = Promise.resolve();
  #size = 0;
  #tarSize = 0;
  #bad: string | undefined;

  constructor(options: LayerDigesterOptions = {}) {
    this.#options = options;
    this.#blobHash = options.blobDigest === false ? undefined : createHash('sha256');
  }

  /** Bytes fed so far. */
  get size(): number {
    return this.#size;
  }

  /** The sha256 of the bytes fed so far; undefined when it was not asked for. */
  get blobDigest(): Digest | undefined {
    return this.#blobHash && digestSoFar(this.#blobHash, 'sha256');
  }

  /** Takes the next bytes. A promise asks the caller to wait for it before the next write; it never rejects. */
  write(chunk: Buffer): void | Promise<void> {
    this.#size += chunk.length;
    this.#blobHash?.update(chunk);
    if (this.#bad !== undefined) return undefined;
    if (this.#head === undefined) return this.#decode(chunk);
    const head = this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk]);
    this.#head = head;
    if (head.length < SNIFF_LENGTH) return undefined;
    return this.#start(head);
  }

  /** The facts, once all bytes were fed. */
  async finish(): Promise<LayerFacts | BadLayer> {
    if (this.#head !== undefined) await this.#start(this.#head);
    this.#stream?.end();
    await this.#ended;
    const encoding = this.#encoding;
    if (this.#bad !== undefined) return { encoding, bad: this.#bad, rules: FACTS_RULES };
    return {
      encoding,
      diffId: digestSoFar(this.#tarHash, 'sha256'),
      diffSize: this.#tarSize,
      rules: FACTS_RULES,
    };
  }

  /** Gives up: frees the decompressor. The facts of what was fed are not wanted. */
  abort(): void {
    this.#fail('aborted');
  }

  #start(head: Buffer): void | Promise<void> {
    this.#head = undefined;
    this.#encoding = sniffEncoding(head);
    if (this.#encoding === 'none') {
      // The blob is the tar: one hash does for both.
      this.#tarHash = this.#blobHash ?? this.#tarHash;
    } else {
      const stream = createDecompressor(this.#encoding);
      this.#stream = stream;
      stream.on('data', (chunk: Buffer) => this.#take(chunk));
      this.#ended = new Promise((resolve) => {
        stream.on('error', (error) => {
          this.#bad ??= error.message;
        });
        stream.on('end', resolve).on('close', resolve);
      });
    }
    return head.length === 0 ? undefined : this.#decode(head);
  }

  #decode(chunk: Buffer): void | Promise<void> {
    const stream = this.#stream;
    if (stream === undefined) {
      this.#take(chunk);
      return undefined;
    }
    if (stream.write(chunk)) return undefined;
    return new Promise((resolve) => {
      const done = () => {
        stream.off('drain', done).off('close', done);
        resolve();
      };
      stream.on('drain', done).on('close', done);
      if (stream.destroyed) done();
    });
  }

  #take(chunk: Buffer): void {
    if (this.#bad !== undefined) return;
    this.#tarSize += chunk.length;
    const reason = this.#excess();
    if (reason !== undefined) {
      this.#fail(reason);
      return;
    }
    if (this.#tarHash !== this.#blobHash) this.#tarHash.update(chunk);
    this.#options.onTar?.(chunk);
  }

  #excess(): string | undefined {
    const { maxBytes = DEFAULT_MAX_LAYER_BYTES, maxRatio } = this.#options;
    if (this.#tarSize > maxBytes) return `more than ${maxBytes} bytes when decompressed`;
    if (maxRatio === undefined || this.#tarSize <= RATIO_FLOOR) return undefined;
    return this.#tarSize > maxRatio * this.#size
      ? `more than ${maxRatio} times its size when decompressed`
      : undefined;
  }

  #fail(reason: string): void {
    this.#bad ??= reason;
    this.#stream?.destroy();
  }
}
