import { LRUCache } from 'lru-cache';
import type { StorageDriver } from '../../storage/driver.ts';
import { isRepositoryName, type RepositoryName, type V1ImageId } from '../../storage/names.ts';
import { mirrorClaims } from '../../storage/paths.ts';
import { readRecord, updateRecord } from '../../storage/records.ts';

/** Pairs of image and repository that this process has written or found; each is written once. */
const MOST_KNOWN = 200_000;
/** Files that are written at the same time. */
const WIDTH = 16;

/**
 * Through which repositories upstream gives an image, for registries with accounts: image routes name no repository,
 * and whoever may not read the repository may not have the image fetched. Lies in the store, so that every worker
 * knows what another has learned.
 */
export class Claims {
  readonly #driver: StorageDriver;
  readonly #known = new LRUCache<string, true>({ max: MOST_KNOWN });

  constructor(driver: StorageDriver) {
    this.#driver = driver;
  }

  async add(name: RepositoryName, ids: Iterable<V1ImageId>): Promise<void> {
    const fresh = [...new Set(ids)].filter((id) => !this.#known.has(`${id} ${name}`));
    const worker = async () => {
      for (let id = fresh.pop(); id !== undefined; id = fresh.pop()) await this.#write(name, id);
    };
    await Promise.all(Array.from({ length: WIDTH }, worker));
  }

  async names(id: V1ImageId): Promise<RepositoryName[]> {
    const names = await readRecord<string[]>(this.#driver, mirrorClaims(id));
    return (names ?? []).filter(isRepositoryName);
  }

  async #write(name: RepositoryName, id: V1ImageId): Promise<void> {
    await updateRecord<string[]>(this.#driver, mirrorClaims(id), (names = []) =>
      names.includes(name) ? undefined : [...names, name],
    );
    this.#known.set(`${id} ${name}`, true);
  }
}
