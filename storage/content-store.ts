import { LRUCache } from 'lru-cache';
import { BlobStore } from './blobs.ts';
import { Catalog } from './catalog.ts';
import type { StorageDriver } from './driver.ts';
import { Links } from './links.ts';
import { Listings } from './listings.ts';
import { ManifestCache, type ManifestPolicy } from './manifests.ts';
import type { RepositoryName } from './names.ts';
import type { ReferrerIndex } from './referrers.ts';
import { Repository, type RepositoryParts } from './repository.ts';
import type { RunningHash } from './uploads.ts';

export interface ContentStoreOptions {
  policy?: ManifestPolicy;
  /** Memory for parsed manifests and small blobs, in bytes. Default 64 MiB. */
  cacheBytes?: number;
}

const DEFAULT_CACHE_BYTES = 64 * 1024 * 1024;

/** All content of a registry on one driver. Knows no protocol. */
export class ContentStore {
  readonly driver: StorageDriver;
  readonly blobs: BlobStore;
  readonly catalog: Catalog;
  readonly #parts: RepositoryParts;
  readonly #repositories = new LRUCache<RepositoryName, Repository>({ max: 10_000 });

  constructor(driver: StorageDriver, options: ContentStoreOptions = {}) {
    const cacheBytes = options.cacheBytes ?? DEFAULT_CACHE_BYTES;
    this.driver = driver;
    this.blobs = new BlobStore(driver, cacheBytes / 2);
    this.catalog = new Catalog(driver);
    this.#parts = {
      driver,
      links: new Links(driver, 50_000),
      listings: new Listings(driver, 200_000),
      blobs: this.blobs,
      manifests: new ManifestCache(this.blobs, cacheBytes / 2),
      catalog: this.catalog,
      hashes: new LRUCache<string, RunningHash>({ max: 10_000 }),
      referrers: new LRUCache<string, ReferrerIndex>({ max: 1_000 }),
      policy: options.policy ?? { references: true, indexes: 'all' },
    };
  }

  /** The repository of this name, whether it exists yet or not. */
  repository(name: RepositoryName): Repository {
    let repository = this.#repositories.get(name);
    if (!repository) {
      repository = new Repository(name, this.#parts);
      this.#repositories.set(name, repository);
    }
    return repository;
  }

  async close(): Promise<void> {
    await this.driver.close?.();
  }
}
