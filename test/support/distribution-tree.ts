import type { StorageDriver } from '../../storage/driver.ts';
import type { Described } from './oci-content.ts';

const ROOT = '/docker/registry/v2';

/** Writes a tree as distribution lays it out (v2.md 3), without asking any of our own code for a path. */
export class DistributionTree {
  readonly #driver: StorageDriver;

  constructor(driver: StorageDriver) {
    this.#driver = driver;
  }

  /** The data of a blob or manifest; `as` stores other bytes under its digest. */
  async data({ digest, bytes }: Described, as: Buffer | string = bytes): Promise<void> {
    await this.#driver.put(dataPath(digest), as);
  }

  /** A blob with its link; `target` is what the link holds. */
  async blob(name: string, blob: Described, target: string = blob.digest): Promise<void> {
    if (target === blob.digest) await this.data(blob);
    await this.link(name, blob.digest, target);
  }

  /** The link of a blob alone; `target` is what it holds. */
  async link(name: string, digest: string, target = digest): Promise<void> {
    await this.#put(name, `_layers/${slashed(digest)}/link`, target);
  }

  /** A manifest with its revision link, and the tags that name it. */
  async manifest(name: string, manifest: Described, ...tags: string[]): Promise<void> {
    const { digest } = manifest;
    await this.data(manifest);
    await this.#put(name, `_manifests/revisions/${slashed(digest)}/link`, digest);
    for (const tag of tags) await this.tag(name, tag, digest);
  }

  async tag(name: string, tag: string, digest: string, current = digest): Promise<void> {
    await this.#put(name, `_manifests/tags/${tag}/index/${slashed(digest)}/link`, digest);
    await this.#put(name, `_manifests/tags/${tag}/current/link`, current);
  }

  /** Writes any file of a repository. */
  async file(name: string, path: string, content: string): Promise<void> {
    await this.#put(name, path, content);
  }

  /** Whether the data of a digest is stored. */
  async has(digest: string): Promise<boolean> {
    return this.#exists(dataPath(digest));
  }

  async hasFile(name: string, path: string): Promise<boolean> {
    return this.#exists(`${ROOT}/repositories/${name}/${path}`);
  }

  async hasLayerLink(name: string, digest: string): Promise<boolean> {
    return this.hasFile(name, `_layers/${slashed(digest)}/link`);
  }

  async hasManifest(name: string, digest: string): Promise<boolean> {
    return this.hasFile(name, `_manifests/revisions/${slashed(digest)}/link`);
  }

  async #put(name: string, path: string, content: string): Promise<void> {
    await this.#driver.put(`${ROOT}/repositories/${name}/${path}`, content);
  }

  async #exists(path: string): Promise<boolean> {
    return this.#driver.stat(path).then(
      () => true,
      () => false,
    );
  }
}

function slashed(digest: string): string {
  return digest.replace(':', '/');
}

function dataPath(digest: string): string {
  const [algorithm = '', hex = ''] = digest.split(':');
  return `${ROOT}/blobs/${algorithm}/${hex.slice(0, 2)}/${hex}/data`;
}
