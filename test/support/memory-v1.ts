import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { ContentStore } from '../../storage/content-store.ts';
import { storageError } from '../../storage/errors.ts';
import type { RepositoryName, Tag, V1ImageId } from '../../storage/names.ts';
import type { V1Image, V1Reader } from '../../storage/v1-images.ts';
import type { V1Images, V1ListEntry, V1Repository, V1Sums } from '../../storage/v1-store.ts';

interface Stored {
  json: Buffer;
  ancestry: V1ImageId[];
  layer: Buffer | undefined;
  complete: boolean;
}

/** The V1 side of a store, in memory: the smallest that keeps the contract of `V1Images` and `V1Repository`. */
export class MemoryV1 implements V1Images {
  readonly #images = new Map<V1ImageId, Stored>();
  readonly #repositories = new Map<RepositoryName, MemoryRepository>();

  /** Gives a content store this V1 side. */
  attachTo(content: ContentStore): void {
    Object.defineProperty(content, 'v1', { value: this });
    const repository = content.repository.bind(content);
    content.repository = (name) => {
      const found = repository(name);
      if (!('v1' in found)) Object.defineProperty(found, 'v1', { value: this.repository(name) });
      return found;
    };
  }

  repository(name: RepositoryName): MemoryRepository {
    let repository = this.#repositories.get(name);
    if (!repository) {
      repository = new MemoryRepository(name, this);
      this.#repositories.set(name, repository);
    }
    return repository;
  }

  async image(id: V1ImageId, reader: V1Reader): Promise<V1Image> {
    const stored = this.#images.get(id);
    if (!stored || (stored.complete && !this.#mayRead(id, reader))) {
      throw storageError('IMAGE_UNKNOWN', 'Image not found');
    }
    const { layer, complete, json, ancestry } = stored;
    if (!complete || !layer) {
      throw storageError('IMAGE_INCOMPLETE', 'Image is being uploaded, retry later');
    }
    return {
      id,
      origin: 'explicit',
      json,
      ancestry,
      layer: {
        size: layer.length,
        seekable: true,
        open: async (range) =>
          Readable.from([range ? layer.subarray(range.start, range.end + 1) : layer]),
      },
      checksums: [payloadSum(json, layer), tarsumOf(layer)],
    };
  }

  async putJson(id: V1ImageId, json: Buffer): Promise<void> {
    const parsed = parseObject(json);
    if (parsed.id === undefined) throw storageError('IMAGE_INVALID', "Missing key `id' in JSON");
    if (parsed.id !== id) throw storageError('IMAGE_INVALID', 'JSON data contains invalid id');
    const parent = parsed.parent as V1ImageId | undefined;
    const above = parent === undefined ? undefined : this.#images.get(parent);
    if (parent !== undefined && !above) {
      throw storageError('IMAGE_INVALID', 'Image depends on a non existing parent');
    }
    if (this.#images.get(id)?.complete) throw storageError('IMAGE_EXISTS', 'Image already exists');
    const ancestry = [id, ...(above?.ancestry ?? [])];
    this.#images.set(id, { json, ancestry, layer: undefined, complete: false });
  }

  async putLayer(id: V1ImageId, source: Readable): Promise<void> {
    const stored = this.#images.get(id);
    if (!stored) throw storageError('IMAGE_UNKNOWN', 'Image not found');
    if (stored.complete) throw storageError('IMAGE_EXISTS', 'Image already exists');
    const chunks: Buffer[] = [];
    for await (const chunk of source) chunks.push(chunk as Buffer);
    stored.layer = Buffer.concat(chunks);
  }

  async putChecksum(id: V1ImageId, sums: V1Sums): Promise<void> {
    const stored = this.#images.get(id);
    if (!stored) throw storageError('IMAGE_UNKNOWN', 'Image not found');
    if (stored.complete) throw storageError('IMAGE_EXISTS', 'Cannot set this image checksum');
    const { json, layer } = stored;
    if (!layer) throw storageError('IMAGE_INVALID', 'The layer was not uploaded yet');
    if (sums.payload !== payloadSum(json, layer) && sums.tarsum !== tarsumOf(layer)) {
      throw storageError('IMAGE_INVALID', 'Checksum mismatch');
    }
    stored.complete = true;
  }

  /** Whether the image and all below it are complete. */
  isWhole(id: V1ImageId): boolean {
    const ancestry = this.#images.get(id)?.ancestry;
    return ancestry?.every((each) => this.#images.get(each)?.complete) ?? false;
  }

  #mayRead(id: V1ImageId, reader: V1Reader): boolean {
    if (reader.unrestricted) return true;
    for (const { name, shown } of this.#repositories.values()) {
      if (reader.only !== undefined && reader.only !== name) continue;
      const tops = [...shown.values()];
      const holds = tops.some((top) => this.#images.get(top)?.ancestry.includes(id));
      if (holds && reader.mayPull(name)) return true;
    }
    return false;
  }
}

class MemoryRepository implements V1Repository {
  readonly name: RepositoryName;
  readonly shown = new Map<Tag, V1ImageId>();
  readonly #images: MemoryV1;
  #list: V1ListEntry[] | undefined;
  readonly #records = new Map<string, string>();

  constructor(name: RepositoryName, images: MemoryV1) {
    this.name = name;
    this.#images = images;
  }

  async exists(): Promise<boolean> {
    return this.#list !== undefined || this.shown.size > 0;
  }

  async tags(): Promise<Map<Tag, V1ImageId>> {
    return this.shown;
  }

  async tag(tag: Tag): Promise<V1ImageId | undefined> {
    return this.shown.get(tag);
  }

  async chainOf(): Promise<undefined> {
    return undefined;
  }

  async setTag(tag: Tag, id: V1ImageId): Promise<void> {
    if (!this.#images.isWhole(id)) throw storageError('IMAGE_UNKNOWN', 'Image not found');
    this.shown.set(tag, id);
  }

  async deleteTag(tag: Tag): Promise<boolean> {
    this.#records.delete(`tag-info/${tag}`);
    return this.shown.delete(tag);
  }

  async announce(entries: readonly V1ListEntry[]): Promise<void> {
    const merged = new Map((this.#list ?? []).map((entry) => [entry.id, entry]));
    for (const entry of entries) merged.set(entry.id, { ...merged.get(entry.id), ...entry });
    this.#list = [...merged.values()];
  }

  async images(): Promise<V1ListEntry[] | undefined> {
    return this.#list;
  }

  async delete(): Promise<boolean> {
    const existed = await this.exists();
    this.#list = undefined;
    this.shown.clear();
    this.#records.clear();
    return existed;
  }

  async readRecord(record: string): Promise<Buffer | undefined> {
    const content = this.#records.get(record);
    return content === undefined ? undefined : Buffer.from(content);
  }

  async writeRecord(record: string, content: Buffer | string): Promise<void> {
    this.#records.set(record, content.toString());
  }
}

function parseObject(bytes: Buffer): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString());
  } catch (cause) {
    throw storageError('IMAGE_INVALID', 'Invalid JSON', { cause });
  }
  const isObject = typeof json === 'object' && json !== null && !Array.isArray(json);
  if (!isObject || Object.keys(json as object).length === 0) {
    throw storageError('IMAGE_INVALID', 'Invalid JSON');
  }
  return json as Record<string, unknown>;
}

/** X-Docker-Checksum-Payload of an image (v1.md 2.7). */
export function payloadSum(json: Buffer | string, layer: Buffer): string {
  return `sha256:${createHash('sha256').update(json).update('\n').update(layer).digest('hex')}`;
}

/** Stands for a tarsum: any function of the layer will do to see that the header arrives. */
export function tarsumOf(layer: Buffer): string {
  return `tarsum+sha256:${createHash('sha256').update(layer).digest('hex')}`;
}
