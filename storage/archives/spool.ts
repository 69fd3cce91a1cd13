import { createHash, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import type { BlobFacts, UnpackLimits } from '../blob-facts.ts';
import type { BlobStore } from '../blobs.ts';
import { LayerDigester } from '../bridge/layer-facts.ts';
import type { ContentStore } from '../content-store.ts';
import type { Digest } from '../digest.ts';
import type { StorageDriver } from '../driver.ts';
import { storageError } from '../errors.ts';
import { type Lease, takeLease } from '../lease.ts';
import { blobData, spoolsRoot } from '../paths.ts';
import type { ArchiveEntry } from './entry-source.ts';

/** A file of the archive, kept aside until it is known what it is for. */
export interface SpooledFile {
  name: string;
  path: string;
  size: number;
  digest: Digest;
  facts: BlobFacts;
  /** Only where the name speaks of it. */
  sha512?: Digest;
}

/** More entries than any archive of images has. */
const MAX_ENTRIES = 200_000;
/** JSON files of archives: configs, manifests, lists of names. */
const MAX_JSON = 16 * 1024 * 1024;

/**
 * The entries of an archive by name, in a place of the store where they are not served. What an archive holds is told
 * by entries that may come last, so everything is written once, hashed on the way, and moved to where it belongs.
 */
export class Spool {
  readonly #driver: StorageDriver;
  readonly #blobs: BlobStore;
  readonly #limits: UnpackLimits;
  readonly #root: string;
  readonly #lease: Lease;
  readonly #files = new Map<string, SpooledFile>();
  readonly #links = new Map<string, string>();
  #count = 0;

  private constructor(store: ContentStore, root: string, lease: Lease) {
    this.#driver = store.driver;
    this.#blobs = store.blobs;
    this.#limits = store.facts.limits;
    this.#root = root;
    this.#lease = lease;
  }

  /** Opens one, and clears away those of processes that died. */
  static async open(store: ContentStore): Promise<Spool> {
    const { driver } = store;
    const root = `${spoolsRoot}/${randomUUID()}`;
    const lease = await takeLease(driver, lockOf(root));
    if (!lease) throw storageError('UPLOAD_BUSY', 'the spool is in use');
    await removeAbandoned(driver, root);
    return new Spool(store, root, lease);
  }

  async add(entry: ArchiveEntry, onBytes: (bytes: number) => void): Promise<void> {
    this.#count += 1;
    if (this.#count > MAX_ENTRIES) {
      throw storageError('TOO_LARGE', `an archive may have ${MAX_ENTRIES} entries at most`);
    }
    this.#links.delete(entry.name);
    await this.#drop(entry.name);
    if (entry.kind === 'link') this.#links.set(entry.name, entry.target);
    else this.#files.set(entry.name, await this.#write(entry.name, entry.body, onBytes));
  }

  /** The file of this name, links followed; undefined when there is none. */
  find(name: string): SpooledFile | undefined {
    let at = name;
    for (let hops = 0; hops < 16; hops += 1) {
      const file = this.#files.get(at);
      if (file) return file;
      const target = this.#links.get(at);
      if (target === undefined) return undefined;
      at = target;
    }
    throw storageError('IMAGE_INVALID', `the links of ${name.slice(0, 200)} run in a circle`);
  }

  /** Names of all files and links. */
  names(): string[] {
    return [...this.#files.keys(), ...this.#links.keys()];
  }

  /** A small file whole; undefined when there is none. Throws IMAGE_INVALID when it is not small. */
  async read(name: string): Promise<Buffer | undefined> {
    const file = this.find(name);
    if (!file) return undefined;
    if (file.size > MAX_JSON) {
      throw storageError(
        'IMAGE_INVALID',
        `${name} of the archive has ${file.size} bytes, too many for JSON`,
      );
    }
    return file.size === 0 ? Buffer.alloc(0) : this.#driver.get(file.path);
  }

  /** The bytes of a file. */
  async open(file: SpooledFile): Promise<Readable> {
    return file.size === 0 ? Readable.from([]) : this.#driver.read(file.path);
  }

  /** Makes a file, whose digest was checked, a blob of the store. It can still be read here. */
  async adopt(file: SpooledFile, digest: Digest): Promise<void> {
    const target = blobData(digest);
    if (file.path === target) return;
    if (!file.path.startsWith(this.#root)) throw new Error(`${file.name} is another blob already`);
    if (file.size === 0) await this.#blobs.put(Buffer.alloc(0), digest);
    else await this.#blobs.adopt(file.path, digest, file.size);
    file.path = target;
  }

  /** Takes everything away. */
  async close(): Promise<void> {
    await this.#driver.delete(this.#root, { durable: false });
    await this.#lease.release();
  }

  async #write(name: string, body: Readable, onBytes: (n: number) => void): Promise<SpooledFile> {
    const path = `${this.#root}/${this.#count}`;
    const digester = new LayerDigester(this.#limits);
    const sha512 = name.startsWith('blobs/sha512/') ? createHash('sha512') : undefined;
    let size: number;
    try {
      size = await this.#driver.append(path, 0, body, (chunk) => {
        onBytes(chunk.length);
        sha512?.update(chunk);
        return digester.write(chunk);
      });
    } catch (error) {
      digester.abort();
      throw error;
    }
    const facts = await digester.finish();
    return {
      name,
      path,
      size,
      digest: digester.blobDigest as Digest,
      facts,
      ...(sha512 && { sha512: `sha512:${sha512.digest('hex')}` as Digest }),
    };
  }

  async #drop(name: string): Promise<void> {
    const before = this.#files.get(name);
    if (!before) return;
    this.#files.delete(name);
    await this.#driver.delete(before.path, { durable: false });
  }
}

async function removeAbandoned(driver: StorageDriver, own: string): Promise<void> {
  for await (const name of driver.list(spoolsRoot)) {
    const root = `${spoolsRoot}/${name}`;
    if (root === own) continue;
    const lease = await takeLease(driver, lockOf(root));
    if (!lease) continue;
    await driver.delete(root, { durable: false });
    await lease.release();
  }
}

const lockOf = (root: string): string => `${root}/lock`;
