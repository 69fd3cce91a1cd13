import type { Logger, V1Mirror } from '../../protocols/registry.ts';
import type { ContentStore } from '../../storage/content-store.ts';
import type { SharedCache } from '../../storage/shared-cache.ts';
import type { MirrorConfig } from '../config/protocols.ts';
import { Claims } from './claims.ts';
import { Incoming } from './incoming.ts';
import { MirrorCounts } from './mirror-counts.ts';
import { MirroredImages } from './mirrored-images.ts';
import { MirroredRepository } from './mirrored-repository.ts';
import { MirroredTags } from './mirrored-tags.ts';
import { UpstreamClient, type UpstreamOptions } from './upstream-client.ts';
import { UpstreamImages } from './upstream-images.ts';
import { UpstreamRepositories } from './upstream-repositories.ts';

/** A mirror that can be ended. */
export interface OpenMirror extends V1Mirror {
  readonly counts: MirrorCounts;
  /** Breaks off what is being fetched. */
  close(): Promise<void>;
}

export interface MirrorOptions {
  /** Keeps tags for all workers and nodes. */
  shared?: SharedCache | undefined;
  limits?: Pick<UpstreamOptions, 'headMs' | 'idleMs' | 'restMs'>;
}

/** Pull-through of an upstream V1 registry (docker-registry's `mirroring`). */
export function openMirror(
  config: MirrorConfig,
  content: ContentStore,
  log: Logger,
  { shared, limits }: MirrorOptions = {},
): OpenMirror {
  const { tagsCacheSeconds } = config;
  const source = withoutUser(config.source);
  const sourceIndex = withoutUser(config.sourceIndex);
  const credentials = credentialsOf(config);
  const client = new UpstreamClient({ source, sourceIndex, credentials, log, ...limits });
  const incoming = new Incoming(content.driver);
  const cleaned = incoming
    .clean()
    .catch((error: unknown) => log.warn('layers of killed processes not removed', { error }));
  const claims = new Claims(content.driver);
  const counts = new MirrorCounts();
  const images = new MirroredImages({
    content,
    client,
    upstream: new UpstreamImages(client, claims),
    claims,
    incoming,
    counts,
    log,
  });
  const upstream = new UpstreamRepositories({
    driver: content.driver,
    client,
    claims,
    counts,
    source,
    ttlSeconds: tagsCacheSeconds,
    shared,
    log,
  });
  const tags = new MirroredTags({ content, upstream, images, claims });
  return {
    counts,
    images,
    repository: (own) => new MirroredRepository(own, { upstream, images, claims, tags }),
    provide: (name, tag, restricted) => tags.provide(name, tag, restricted),
    tags: (name) => tags.namesOf(name),
    search: (term) => upstream.search(term),
    async close() {
      client.close();
      await images.settled();
      await cleaned;
      incoming.close();
    },
  };
}

/** From the settings of their own, else from `https://user:password@host`. */
function credentialsOf(config: MirrorConfig): UpstreamOptions['credentials'] {
  const url = new URL(config.source);
  const username = config.username ?? decodeURIComponent(url.username);
  if (username === '') return undefined;
  return { username, password: config.password ?? decodeURIComponent(url.password) };
}

function withoutUser(text: string): string {
  const url = new URL(text);
  url.username = '';
  url.password = '';
  return url.href.replace(/\/+$/, '');
}
