import { LRUCache } from 'lru-cache';
import type { Logger } from '../../protocols/registry.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import {
  isImageId,
  isRepositoryName,
  isTag,
  type RepositoryName,
  type Tag,
  type V1ImageId,
} from '../../storage/names.ts';
import { mirrorRepository } from '../../storage/paths.ts';
import { readRecord } from '../../storage/records.ts';
import type { SharedCache } from '../../storage/shared-cache.ts';
import type { V1ListEntry } from '../../storage/v1-store.ts';
import type { Claims } from './claims.ts';
import type { MirrorCounts } from './mirror-counts.ts';
import type { UpstreamClient } from './upstream-client.ts';

/** What upstream said of a repository at one moment. */
export interface UpstreamRepository {
  /** Milliseconds since the epoch. */
  at: number;
  tags: Record<Tag, V1ImageId>;
  images: V1ListEntry[];
}

export interface UpstreamRepositoriesOptions {
  /** Keeps the last answers for all workers, and beyond a restart. */
  driver: StorageDriver;
  client: UpstreamClient;
  claims: Claims;
  counts: MirrorCounts;
  /** Names the upstream in the shared cache. */
  source: string;
  /** Seconds that an answer is believed. */
  ttlSeconds: number;
  shared: SharedCache | undefined;
  log: Logger;
}

/** As the store keeps it: what another upstream said before counts for nothing. */
interface Stored extends UpstreamRepository {
  source: string;
}

interface Kept {
  at: number;
  /** Undefined: upstream has no such repository. */
  found: UpstreamRepository | undefined;
}

const MOST_KEPT = 5000;
/** How long it is believed that upstream has not got a repository. */
const MISSING_MS = 60_000;
/** How long an answer is kept to be served when upstream is down, beyond the time that it is believed. */
const STALE_SECONDS = 30 * 24 * 3600;
const SEARCH_MS = 60_000;

/** Upstream's tags and image lists, believed for a time; old answers serve while upstream is down. */
export class UpstreamRepositories {
  readonly #options: UpstreamRepositoriesOptions;
  readonly #kept = new LRUCache<RepositoryName, Kept>({ max: MOST_KEPT });
  readonly #asking = new Map<RepositoryName, Promise<UpstreamRepository | undefined>>();
  readonly #searches = new LRUCache<string, { name: string; description: string }[]>({
    max: 200,
    ttl: SEARCH_MS,
  });

  constructor(options: UpstreamRepositoriesOptions) {
    this.#options = options;
  }

  /** Undefined for one that upstream has not. Throws UNAVAILABLE when upstream is down and nothing was kept. */
  get(name: RepositoryName): Promise<UpstreamRepository | undefined> {
    const kept = this.#kept.get(name);
    if (kept && this.#isFresh(kept)) {
      this.#options.counts.hits.manifest += 1;
      return Promise.resolve(kept.found);
    }
    const running = this.#asking.get(name);
    if (running !== undefined) return running;
    const asking = this.#find(name).finally(() => this.#asking.delete(name));
    this.#asking.set(name, asking);
    return asking;
  }

  /** Upstream's search; nothing while it is down. */
  async search(term: string): Promise<readonly { name: string; description: string }[]> {
    const known = this.#searches.get(term);
    if (known) return known;
    try {
      const answer = await this.#options.client.get(
        'index',
        `/v1/search?q=${encodeURIComponent(term)}`,
      );
      const results = answer ? resultsOf(parse(answer.body)) : [];
      this.#searches.set(term, results);
      return results;
    } catch {
      // The client has logged why; what is stored here is found all the same.
      return [];
    }
  }

  async #find(name: RepositoryName): Promise<UpstreamRepository | undefined> {
    const kept = this.#kept.get(name);
    const shared = await this.#shared(name);
    if (shared && this.#isFresh({ at: shared.at, found: shared })) {
      this.#options.counts.hits.manifest += 1;
      this.#kept.set(name, { at: shared.at, found: shared });
      return shared;
    }
    try {
      const found = await this.#ask(name);
      this.#kept.set(name, { at: Date.now(), found });
      if (found) await this.#share(name, found);
      return found;
    } catch (error) {
      const stale = kept?.found ?? shared;
      if (!stale) throw error;
      this.#options.log.warn('old tags of the mirrored registry are served', {
        repository: name,
        seconds: Math.round((Date.now() - stale.at) / 1000),
      });
      return stale;
    }
  }

  /** The index first: it gives the token by which a registry may want to be asked. */
  async #ask(name: RepositoryName): Promise<UpstreamRepository | undefined> {
    const { client, claims, counts } = this.#options;
    counts.misses.manifest += 1;
    const listed = await client.list(name);
    const tagged = await client.get('source', `/v1/repositories/${name}/tags`, {
      through: async () => [name],
    });
    counts.pulledBytes.manifest += (tagged?.body.length ?? 0) + (listed?.length ?? 0);
    if (!tagged && !listed) return undefined;
    const tags = tagged ? tagsOf(parse(tagged.body)) : {};
    const images = listed ? imagesOf(parse(listed)) : [];
    if (client.wantsTokens) {
      await claims.add(name, [...images.map(({ id }) => id), ...Object.values(tags)]);
    }
    return { at: Date.now(), tags, images };
  }

  #isFresh({ at, found }: Kept): boolean {
    const ttlMs = this.#options.ttlSeconds * 1000;
    return Date.now() - at < (found ? ttlMs : Math.min(ttlMs, MISSING_MS));
  }

  async #shared(name: RepositoryName): Promise<UpstreamRepository | undefined> {
    const { shared, driver, source } = this.#options;
    const bytes = await shared?.get(this.#key(name));
    const near = bytes && (parse(bytes) as Partial<UpstreamRepository> | undefined);
    const stored = near ?? (await readRecord<Partial<Stored>>(driver, mirrorRepository(name)));
    if (typeof stored?.at !== 'number') return undefined;
    if ('source' in stored && stored.source !== source) return undefined;
    return { at: stored.at, tags: tagsOf(stored.tags), images: imagesOf(stored.images) };
  }

  async #share(name: RepositoryName, found: UpstreamRepository): Promise<void> {
    const { shared, driver, source, ttlSeconds } = this.#options;
    shared?.set(this.#key(name), JSON.stringify(found), ttlSeconds + STALE_SECONDS);
    const record: Stored = { ...found, source };
    await driver.put(mirrorRepository(name), JSON.stringify(record), { durable: false });
  }

  #key(name: RepositoryName): string {
    return `isthmus:mirror:${this.#options.source}:${name}`;
  }
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
}

/** Tags that could not be asked for here are left out. */
function tagsOf(value: unknown): Record<Tag, V1ImageId> {
  const tags: Record<Tag, V1ImageId> = {};
  for (const [tag, id] of Object.entries(isObject(value) ? value : {})) {
    if (isTag(tag) && typeof id === 'string' && isImageId(id)) tags[tag] = id;
  }
  return tags;
}

function imagesOf(value: unknown): V1ListEntry[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((each: unknown) => {
    const { id, checksum } = isObject(each) ? each : {};
    if (typeof id !== 'string' || !isImageId(id)) return [];
    return [{ id, ...(typeof checksum === 'string' && checksum !== '' && { checksum }) }];
  });
}

/** Names as they are spelled here: without the `library/` that docker-registry puts before short ones. */
function resultsOf(value: unknown): { name: string; description: string }[] {
  const { results } = isObject(value) ? value : {};
  if (!Array.isArray(results)) return [];
  return results.flatMap((each: unknown) => {
    const { name, description } = isObject(each) ? each : {};
    if (typeof name !== 'string') return [];
    const short = name.replace(/^library\/([^/]+)$/, '$1');
    if (!isRepositoryName(short)) return [];
    return [{ name: short, description: typeof description === 'string' ? description : '' }];
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
