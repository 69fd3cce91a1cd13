import { createHash, type Hash } from 'node:crypto';
import type { DigestAlgorithm } from './digest.ts';

/** The hash of an upload's bytes up to `offset`, kept by the process that received them. */
export interface RunningHash {
  offset: number;
  algorithm: DigestAlgorithm;
  hash: Hash;
}

export function startHash(algorithm: DigestAlgorithm): RunningHash {
  return { offset: 0, algorithm, hash: createHash(algorithm) };
}

/** Open uploads that are remembered; of older ones the bytes are hashed again. */
const MAX_HASHES = 10_000;

/**
 * Running hashes by upload. A plain map in the order of insertion: uploads come and go one by one, and an LRUCache
 * clears all of its places whenever its last entry goes.
 */
export class RunningHashes {
  readonly #hashes = new Map<string, RunningHash>();

  get(id: string): RunningHash | undefined {
    return this.#hashes.get(id);
  }

  set(id: string, hash: RunningHash): void {
    this.#hashes.delete(id);
    this.#hashes.set(id, hash);
    if (this.#hashes.size <= MAX_HASHES) return;
    for (const oldest of this.#hashes.keys()) {
      this.#hashes.delete(oldest);
      return;
    }
  }

  delete(id: string): void {
    this.#hashes.delete(id);
  }
}
