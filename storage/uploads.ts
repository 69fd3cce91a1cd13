import { createHash, randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { BlobStore } from './blobs.ts';
import { BOOT_ID } from './boot-id.ts';
import { algorithmOf, type Digest, type DigestAlgorithm, digestSoFar, isDigest } from './digest.ts';
import type { StorageDriver } from './driver.ts';
import { ifFound, storageError } from './errors.ts';
import { type Lease, takeLease } from './lease.ts';
import type { MaybePromise } from './links.ts';
import type { Descriptor } from './manifest.ts';
import type { RepositoryName, UploadId } from './names.ts';
import { uploadDirectory, uploadFile } from './paths.ts';
import type { RepositoryBlobs } from './repository-blobs.ts';
import { type RunningHashes, startHash } from './running-hashes.ts';

/**
 * What stands beside a large upload at the end of each part, so that another process can finish it unread. It holds
 * only until the machine restarts: bytes that were never flushed may then be lost, whatever the size says.
 */
interface Progress {
  offset: number;
  digest: Digest;
  boot: string;
}

/** To hash again what is smaller costs less than a note beside each upload. Bytes. */
const NOTED_BYTES = 4 * 1024 * 1024;

/** Resumable uploads into one repository (OCI distribution-spec "Pushing blobs", distribution's `_uploads`). */
export class Uploads {
  readonly #name: RepositoryName;
  readonly #driver: StorageDriver;
  readonly #blobs: BlobStore;
  readonly #members: RepositoryBlobs;
  readonly #hashes: RunningHashes;

  constructor(
    name: RepositoryName,
    driver: StorageDriver,
    blobs: BlobStore,
    members: RepositoryBlobs,
    hashes: RunningHashes,
  ) {
    this.#name = name;
    this.#driver = driver;
    this.#blobs = blobs;
    this.#members = members;
    this.#hashes = hashes;
  }

  /** Opens an upload. The algorithm is the one that its digest will probably have. */
  async start(algorithm: DigestAlgorithm = 'sha256'): Promise<UploadId> {
    const id = randomUUID() as UploadId;
    const startedAt = `${new Date().toISOString().slice(0, 19)}Z`;
    const path = uploadFile(this.#name, id, 'startedat');
    await this.#driver.put(path, startedAt, { condition: 'absent', durable: false, shared: true });
    this.#hashes.set(id, startHash(algorithm));
    return id;
  }

  /** Bytes received so far. Throws BLOB_UPLOAD_UNKNOWN. */
  async offset(id: UploadId): Promise<number> {
    const size = await this.#sizeOf(id, 'data');
    if (size !== undefined) return size;
    if ((await this.#sizeOf(id, 'startedat')) !== undefined) return 0;
    throw unknownUpload();
  }

  #sizeOf(id: UploadId, file: 'data' | 'startedat'): MaybePromise<number | undefined> {
    const { local } = this.#driver;
    const path = uploadFile(this.#name, id, file);
    if (local) return local.stamp(path)?.size;
    return ifFound(this.#driver.stat(path)).then((info) => info?.size);
  }

  /**
   * Adds a part and gives the bytes received so far. Throws RANGE_INVALID, with the offset as detail, when `at` is
   * not where the upload stands; UPLOAD_BUSY while another request writes. What arrived of a broken part stays.
   */
  async append(id: UploadId, source: Readable, at?: number): Promise<number> {
    const lease = await this.#lock(id);
    try {
      const offset = await this.#check(id, at);
      const size = await this.#append(id, offset, source);
      if (size >= NOTED_BYTES) await this.#noteProgress(id);
      return size;
    } finally {
      await lease.release();
    }
  }

  /**
   * Adds a last part, if one is given, verifies the whole against `digest`, and makes it a blob of this repository.
   * Throws DIGEST_INVALID, and drops the upload, when they differ.
   */
  async finish(id: UploadId, digest: Digest, source?: Readable, at?: number): Promise<Descriptor> {
    const lease = await this.#lock(id);
    try {
      return await this.#complete(id, digest, source, at);
    } finally {
      await lease.release();
    }
  }

  /** Receives a whole blob in one request; nothing is kept of one that breaks off or does not match. */
  async receive(digest: Digest, source: Readable): Promise<Descriptor> {
    // Nobody else hears of the id, so there is nothing to lock and no start to tell.
    const id = randomUUID() as UploadId;
    try {
      const size = await this.#append(id, 0, source, algorithmOf(digest));
      return await this.#accept(id, digest, size);
    } catch (error) {
      await this.#discard(id);
      throw error;
    }
  }

  /** Ends the upload and drops its bytes. Throws BLOB_UPLOAD_UNKNOWN. */
  async cancel(id: UploadId): Promise<void> {
    const lease = await this.#lock(id);
    await this.#discard(id);
    await lease.release();
  }

  async #complete(
    id: UploadId,
    digest: Digest,
    source: Readable | undefined,
    at: number | undefined,
  ): Promise<Descriptor> {
    const offset = await this.#check(id, at);
    const size = source ? await this.#append(id, offset, source, algorithmOf(digest)) : offset;
    return this.#accept(id, digest, size);
  }

  async #accept(id: UploadId, digest: Digest, size: number): Promise<Descriptor> {
    const actual = await this.#digest(id, size, algorithmOf(digest));
    if (actual !== digest) {
      await this.#discard(id);
      throw digestMismatch(digest, actual);
    }
    await this.#store(id, digest, size);
    return { mediaType: 'application/octet-stream', digest, size };
  }

  /** Two writers of one upload could each verify bytes that the other then changes, so there is only ever one. */
  async #lock(id: UploadId): Promise<Lease> {
    await this.offset(id);
    const lease = await takeLease(this.#driver, uploadFile(this.#name, id, 'lock'));
    if (lease?.contested) await this.#copy(id, lease);
    if (lease) return lease;
    throw storageError('UPLOAD_BUSY', 'another request is writing to this upload; try again', {
      detail: id,
    });
  }

  /** A writer that wakes up once its lease was lost writes to a file that nobody reads any more. */
  async #copy(id: UploadId, lease: Lease): Promise<void> {
    const data = uploadFile(this.#name, id, 'data');
    const copy = uploadFile(this.#name, id, 'copy');
    try {
      await this.#driver.delete(copy, { durable: false });
      const source = await ifFound(this.#driver.read(data));
      if (!source) return;
      await this.#driver.append(copy, 0, source);
      await this.#driver.move(copy, data);
    } catch (error) {
      await lease.release();
      throw error;
    }
  }

  async #check(id: UploadId, at: number | undefined): Promise<number> {
    const offset = await this.offset(id);
    if (at !== undefined && at !== offset) {
      throw storageError(
        'RANGE_INVALID',
        `the upload stands at byte ${offset}, this part begins at ${at}`,
        { detail: { offset } },
      );
    }
    return offset;
  }

  async #append(
    id: UploadId,
    offset: number,
    source: Readable,
    algorithm?: DigestAlgorithm,
  ): Promise<number> {
    let running = this.#hashes.get(id);
    if (running?.offset !== offset) running = undefined;
    if (offset === 0) {
      const chosen = algorithm ?? running?.algorithm ?? 'sha256';
      if (running?.algorithm !== chosen) running = startHash(chosen);
    }
    this.#hashes.delete(id);
    const data = uploadFile(this.#name, id, 'data');
    const state = running;
    let size: number;
    try {
      size = await this.#driver.append(
        data,
        offset,
        source,
        state && ((c) => void state.hash.update(c)),
      );
    } catch (error) {
      throw brokenOff(error);
    }
    if (state) {
      state.offset = size;
      this.#hashes.set(id, state);
    }
    return size;
  }

  async #noteProgress(id: UploadId): Promise<void> {
    const state = this.#hashes.get(id);
    if (!state) return;
    const digest = digestSoFar(state.hash, state.algorithm);
    const progress: Progress = { offset: state.offset, digest, boot: BOOT_ID };
    const path = uploadFile(this.#name, id, 'progress');
    await this.#driver.put(path, JSON.stringify(progress), { durable: false });
  }

  /** The digest of all bytes received: from this process, from the note of another, or by reading them again. */
  async #digest(id: UploadId, size: number, algorithm: DigestAlgorithm): Promise<Digest> {
    const running = this.#hashes.get(id);
    if (running?.offset === size && running.algorithm === algorithm) {
      return digestSoFar(running.hash, algorithm);
    }
    const noted = await this.#readProgress(id);
    if (noted?.offset === size && algorithmOf(noted.digest) === algorithm) return noted.digest;
    const hash = createHash(algorithm);
    if (size > 0) {
      const data = await this.#driver.read(uploadFile(this.#name, id, 'data'));
      for await (const chunk of data) hash.update(chunk as Buffer);
    }
    return `${algorithm}:${hash.digest('hex')}` as Digest;
  }

  async #readProgress(id: UploadId): Promise<Progress | undefined> {
    const bytes = await ifFound(this.#driver.get(uploadFile(this.#name, id, 'progress')));
    if (!bytes) return undefined;
    try {
      const progress = JSON.parse(bytes.toString()) as Progress;
      return progress.boot === BOOT_ID && isDigest(progress.digest) ? progress : undefined;
    } catch {
      return undefined;
    }
  }

  async #store(id: UploadId, digest: Digest, size: number): Promise<void> {
    this.#hashes.delete(id);
    const directory = uploadDirectory(this.#name, id);
    const store =
      size === 0
        ? this.#blobs.put(Buffer.alloc(0), digest)
        : this.#blobs.adoptDirectory(directory, digest, size);
    // Side by side they share flushes; a link whose data is not there yet, or never comes, shows nothing.
    await Promise.all([store, this.#members.link(digest)]);
    if (size === 0) await this.#discard(id);
  }

  async #discard(id: UploadId): Promise<void> {
    this.#hashes.delete(id);
    await this.#driver.delete(uploadDirectory(this.#name, id), { durable: false });
  }
}

function unknownUpload() {
  return storageError('BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry');
}

function digestMismatch(expected: Digest, actual: Digest) {
  return storageError(
    'DIGEST_INVALID',
    `provided digest did not match uploaded content: the content is ${actual}, not ${expected}`,
    { detail: { expected, actual } },
  );
}

/** A client that hangs up in the middle is its own doing, not a fault of the store. */
function brokenOff(error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (
    code === 'ECONNRESET' ||
    code === 'ERR_STREAM_PREMATURE_CLOSE' ||
    code === 'HPE_INVALID_CHUNK_SIZE'
  ) {
    return storageError('BLOB_UPLOAD_INVALID', 'the request ended before its body was complete', {
      cause: error,
    });
  }
  return error;
}
