import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { V1Image } from './images.ts';

/** Writes a storage root as docker-registry 0.9 lays it out (v1.md 3.1), one file after the other. */
export class OldTree {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
    mkdirSync(join(root, 'images'), { recursive: true });
    mkdirSync(join(root, 'repositories'), { recursive: true });
  }

  /** A chain, base first, each image complete and with the checksum that 0.9 stores. */
  addChain(chain: readonly V1Image[]): string {
    const ancestry: string[] = [];
    for (const image of chain) {
      ancestry.unshift(image.id);
      this.writeImage(image.id, 'json', image.json);
      this.writeImage(image.id, 'layer', image.layer);
      this.writeImage(image.id, 'ancestry', JSON.stringify(ancestry));
      this.writeImage(image.id, '_checksum', JSON.stringify([payloadSum(image)]));
    }
    return ancestry[0] ?? '';
  }

  writeImage(id: string, file: string, content: string | Buffer): void {
    this.#write(join('images', id, file), content);
  }

  /** `directory` and `file` as they stand on disk, encoded. */
  writeRepository(directory: string, file: string, content: string | Buffer): void {
    this.#write(join('repositories', directory, file), content);
  }

  #write(name: string, content: string | Buffer): void {
    const path = join(this.root, name);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, content);
  }
}

/** The payload checksum (v1.md 2.7). */
export function payloadSum({ json, layer }: V1Image): string {
  return `sha256:${createHash('sha256').update(json).update('\n').update(layer).digest('hex')}`;
}
