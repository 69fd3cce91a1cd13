import { createHash } from 'node:crypto';
import type { BlobFacts } from './blob-facts.ts';
import { BOOT_ID } from './boot-id.ts';
import { boundedCache } from './bounded-cache.ts';
import type { Digest } from './digest.ts';
import type { FileStamp, StorageDriver } from './driver.ts';
import { ifFound } from './errors.ts';
import { sameStamp } from './links.ts';
import type { V1ImageId } from './names.ts';
import { v1StagingDirectory, v1StagingFile } from './paths.ts';
import { putHint, readRecord } from './records.ts';

/** An image whose push has begun. */
export interface Staged {
  json: Buffer;
  ancestry: V1ImageId[];
}

/** What is known of a staged layer once all of it arrived; a later request completes the image with it. */
export interface Received {
  blob: Digest;
  size: number;
  facts: BlobFacts;
  payload: string;
  /** Empty when the layer is no tar; absent when it was not worked out. */
  tarsums?: string[];
}

/** Of which start of the machine a note is: what it tells of was never flushed. */
type Note = Received & { boot: string };

/** The files of pushes that are not complete, which a crash may take: the client begins again. */
export class V1Staging {
  readonly #driver: StorageDriver;
  /** Of layers that came lately, by path. */
  readonly #flushes = boundedCache<string, { stamp: FileStamp; done: Promise<boolean> }>(1_000);

  constructor(driver: StorageDriver) {
    this.#driver = driver;
  }

  async has(id: V1ImageId, claimant: string): Promise<boolean> {
    const path = this.file(id, claimant, 'json');
    if (this.#driver.local) return this.#driver.local.stamp(path) !== undefined;
    return (await ifFound(this.#driver.stat(path))) !== undefined;
  }

  async get(id: V1ImageId, claimant: string): Promise<Staged | undefined> {
    const bytes = await ifFound(this.#driver.get(this.file(id, claimant, 'json')));
    return bytes && splitStaged(bytes);
  }

  /** Begins the push, or begins it again: a layer that came for other JSON is dropped. */
  async begin(id: V1ImageId, staged: Staged, claimant: string): Promise<void> {
    const path = this.file(id, claimant, 'json');
    const bytes = joinStaged(staged);
    if (await this.has(id, claimant)) {
      const before = await ifFound(this.#driver.get(path));
      if (before?.equals(bytes)) return;
      await this.drop(id, claimant);
    }
    await putHint(this.#driver, path, bytes);
  }

  /** Undefined before all of the layer came, and where that was before the machine started. */
  async received(id: V1ImageId, claimant: string): Promise<Received | undefined> {
    const path = this.file(id, claimant, 'received');
    const note = await readRecord<Note>(this.#driver, path);
    return note?.boot === BOOT_ID ? note : undefined;
  }

  /** Notes that all of the layer came. */
  async note(id: V1ImageId, claimant: string, received: Received): Promise<void> {
    const note: Note = { ...received, boot: BOOT_ID };
    await putHint(this.#driver, this.file(id, claimant, 'received'), JSON.stringify(note));
  }

  /** Makes room for the layer, and gives where it goes. */
  async makeRoom(id: V1ImageId, claimant: string): Promise<string> {
    const layer = this.file(id, claimant, 'data');
    await this.#driver.delete(this.file(id, claimant, 'received'), { durable: false });
    await this.#driver.delete(layer, { durable: false });
    return layer;
  }

  async drop(id: V1ImageId, claimant: string): Promise<void> {
    await this.#driver.delete(this.directory(id, claimant), { durable: false });
  }

  /** While the client sends the checksum, the layer may be on its way to the disk. */
  beginFlush(id: V1ImageId, claimant: string): void {
    const path = this.file(id, claimant, 'data');
    const stamp = this.#driver.local?.stamp(path);
    if (!stamp) return;
    const done = this.#driver.commit(path).then(
      () => true,
      () => false,
    );
    this.#flushes.set(path, { stamp, done });
  }

  /** Whether this process has flushed the very layer that is staged. */
  async isFlushed(id: V1ImageId, claimant: string): Promise<boolean> {
    const path = this.file(id, claimant, 'data');
    const begun = this.#flushes.get(path);
    this.#flushes.delete(path);
    if (!begun) return false;
    const stamp = this.#driver.local?.stamp(path);
    return stamp !== undefined && sameStamp(begun.stamp, stamp) && begun.done;
  }

  directory(id: V1ImageId, claimant: string): string {
    return v1StagingDirectory(id, segment(claimant));
  }

  file(id: V1ImageId, claimant: string, file: 'json' | 'data' | 'received' | 'lock'): string {
    return v1StagingFile(id, segment(claimant), file);
  }
}

/** A user name as a part of a path segment. */
export function segment(claimant: string): string {
  if (claimant === '') return 'anonymous';
  return createHash('sha256').update(claimant).digest('hex').slice(0, 32);
}

/** Ancestry and JSON lie in one file, so that they can't disagree after a crash. */
function joinStaged({ json, ancestry }: Staged): Buffer {
  return Buffer.concat([Buffer.from(`${JSON.stringify(ancestry)}\n`), json]);
}

/** Undefined for what a power cut has torn. */
function splitStaged(bytes: Buffer): Staged | undefined {
  const end = bytes.indexOf('\n');
  try {
    return {
      ancestry: JSON.parse(bytes.toString('utf8', 0, Math.max(0, end))) as V1ImageId[],
      json: bytes.subarray(end + 1),
    };
  } catch {
    return undefined;
  }
}
