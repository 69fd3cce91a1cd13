import { createWriteStream } from 'node:fs';
import { copyFile, link, mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createPayloadHash } from '../bridge/payload-checksum.ts';
import type { ContentStore } from '../content-store.ts';
import type { RepositoryName, Tag, V1ImageId } from '../names.ts';
import type { V1Image, V1Reader } from '../v1-images.ts';
import { directoryOf, encodePart } from './v1-tree-names.ts';

export interface TreeExportOptions {
  /** Which repositories; all without it. */
  matches?(name: string): boolean;
  /** False copies layers where they could be linked. */
  link?: boolean;
  /** Hears the bytes of each layer that was written. */
  onLayer?(bytes: number): void;
}

export interface TreeExportReport {
  images: { exported: number; present: number };
  /** Bytes of the layers that were written. */
  bytes: number;
  tags: number;
  repositories: number;
  /** Tags without a V1 view are left out. */
  left: string[];
}

const EVERYTHING: V1Reader = { unrestricted: true, mayPull: () => true, claimant: '' };

/**
 * Writes every image that has a V1 view as docker-registry 0.9 would have stored it (v1.md 3.1): the inverse of the
 * import. An image that is there and complete is skipped; one that is being written has its `_inprogress`, so nothing
 * takes it for whole.
 */
export class V1TreeExport {
  readonly #store: ContentStore;
  readonly #root: string;
  readonly #options: TreeExportOptions;
  readonly #written = new Set<V1ImageId>();
  readonly #report: TreeExportReport = {
    images: { exported: 0, present: 0 },
    bytes: 0,
    tags: 0,
    repositories: 0,
    left: [],
  };

  constructor(store: ContentStore, root: string, options: TreeExportOptions = {}) {
    this.#store = store;
    this.#root = root;
    this.#options = options;
  }

  async run(): Promise<TreeExportReport> {
    await mkdir(join(this.#root, 'images'), { recursive: true });
    await mkdir(join(this.#root, 'repositories'), { recursive: true });
    for (const name of await this.#store.catalog.all()) {
      if (this.#options.matches?.(name) ?? true) await this.#exportRepository(name);
    }
    return this.#report;
  }

  async #exportRepository(name: RepositoryName): Promise<void> {
    const { v1, tags: v2Tags } = this.#store.repository(name);
    const tags = await v1.tags();
    for (const tag of await v2Tags.all()) {
      if (!tags.has(tag)) this.#report.left.push(`${name}:${tag}`);
    }
    if (tags.size === 0) return;
    const { namespace, repository } = directoryOf(name);
    const directory = join(this.#root, 'repositories', namespace, repository);
    await mkdir(directory, { recursive: true });
    const ids = new Set<V1ImageId>();
    for (const id of tags.values()) {
      for (const each of await this.#exportLine(id)) ids.add(each);
    }
    for (const tag of tags.keys()) await this.#writeInfo(directory, name, tag);
    // After all of that: where what is known of tag `_x` and the tag `x_json` share a file, the tag counts.
    for (const [tag, id] of tags) await writeFile(join(directory, `tag_${encodePart(tag)}`), id);
    this.#report.tags += tags.size;
    const list = [...ids].map((id) => ({ id }));
    await writeFile(join(directory, '_index_images'), JSON.stringify(list));
    const properties = await v1.readRecord('properties');
    if (properties && isPrivate(properties)) await writeFile(join(directory, '_private'), '');
    this.#report.repositories += 1;
  }

  async #writeInfo(directory: string, name: RepositoryName, tag: Tag): Promise<void> {
    const info = await this.#store.repository(name).v1.readRecord(`tag-info/${tag}`);
    if (!info) return;
    await writeFile(join(directory, `tag${encodePart(tag)}_json`), info);
    if (tag === 'latest') await writeFile(join(directory, 'json'), info);
  }

  /** Writes an image and all under it, base first; gives their ids in that order. */
  async #exportLine(top: V1ImageId): Promise<V1ImageId[]> {
    const { ancestry } = await this.#store.v1.image(top, EVERYTHING);
    const line = [...ancestry].reverse();
    for (const id of line) {
      if (this.#written.has(id)) continue;
      await this.#exportImage(await this.#store.v1.image(id, EVERYTHING));
      this.#written.add(id);
    }
    return line;
  }

  async #exportImage(image: V1Image): Promise<void> {
    const directory = join(this.#root, 'images', image.id);
    const at = (file: string) => join(directory, file);
    const size = await this.#sizeOf(image);
    if ((await exists(at('_checksum'))) && !(await exists(at('_inprogress')))) {
      this.#report.images.present += 1;
      return;
    }
    await mkdir(directory, { recursive: true });
    await writeFile(at('_inprogress'), 'true');
    await writeFile(at('json'), image.json);
    await writeFile(at('ancestry'), JSON.stringify(image.ancestry));
    const payload = await this.#writeLayer(image, size, at('layer'));
    // 0.9 knows payload sums only.
    const known = image.checksums.filter((sum) => sum.startsWith('sha256:'));
    const checksums = known.length > 0 ? known : [payload];
    await writeFile(at('_checksum'), JSON.stringify(checksums));
    await rm(at('_inprogress'));
    this.#report.images.exported += 1;
    this.#report.bytes += size;
    this.#options.onLayer?.(size);
  }

  /** Bytes as stored: V1 clients get 1024 bytes for a layer of none (bridge.md 4.3), a tree has what was pushed. */
  async #sizeOf({ id, origin, layer }: V1Image): Promise<number> {
    if (origin === 'virtual') return layer.size;
    return (await this.#store.explicit.get(id))?.layer.size ?? layer.size;
  }

  /** Links the blob, or copies it; gives the payload sum, which only virtual images need. */
  async #writeLayer(image: V1Image, size: number, target: string): Promise<string> {
    const { layer, json, checksums } = image;
    await rm(target, { force: true });
    if (size === 0) {
      await writeFile(target, '');
      return payloadOf(json).digest();
    }
    const file = layer.blob && this.#store.blobs.filename(layer.blob);
    if (checksums.length > 0 && file !== undefined) {
      await this.#linkOrCopy(file, target);
      return '';
    }
    const payload = payloadOf(json);
    const aside = `${target}.part`;
    const source: Readable = await layer.open();
    await pipeline(source, payload.pass, createWriteStream(aside));
    await rename(aside, target);
    return payload.digest();
  }

  async #linkOrCopy(file: string, target: string): Promise<void> {
    if (this.#options.link ?? true) {
      try {
        return await link(file, target);
      } catch {
        // Another file system, or no right to link: a copy is as good.
      }
    }
    await copyFile(file, target);
  }
}

/** The payload sum of JSON and a layer that passes by (v1.md 2.7). */
function payloadOf(json: Buffer) {
  const hash = createPayloadHash(json);
  return {
    async *pass(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
      for await (const chunk of source) {
        hash.update(chunk);
        yield chunk;
      }
    },
    digest: () => `sha256:${hash.digest('hex')}`,
  };
}

function isPrivate(properties: Buffer): boolean {
  return (JSON.parse(properties.toString()) as { access?: string }).access === 'private';
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
