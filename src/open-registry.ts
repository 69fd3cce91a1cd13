import { resolve } from 'node:path';
import type { Logger, Registry, V1Options } from '../protocols/registry.ts';
import { parsePlatform } from '../storage/bridge/platform.ts';
import { ContentStore } from '../storage/content-store.ts';
import type { StorageDriver } from '../storage/driver.ts';
import { createDriver, type DriverOptions } from '../storage/drivers/create-driver.ts';
import type { ManifestPolicy } from '../storage/manifests.ts';
import { upgradeV1Layout } from '../storage/v1-layout-upgrade.ts';
import { type ConfiguredAccess, createAccessControl } from './auth/create-access-control.ts';
import type { Config } from './config/config.ts';
import { repositoryMatcher } from './config/patterns.ts';
import type { BridgeConfig, ValidationConfig } from './config/protocols.ts';
import type { StorageConfig } from './config/storage.ts';
import { loadHooks } from './hooks.ts';
import type { MirrorCounts } from './mirror/mirror-counts.ts';
import { openMirror } from './mirror/open-mirror.ts';
import { NO_PEERS, type Peers } from './peers.ts';
import { RedisCache } from './redis-cache.ts';

/** Wraps the driver in one that tells what it does. */
type ObserveDriver = (driver: StorageDriver) => StorageDriver;

/** What the protocols are given, but for the events, which come from elsewhere. */
export type OpenedRegistry = Omit<Registry, 'events' | 'access'> & {
  access: ConfiguredAccess;
  /** Of the mirror, where there is one. */
  mirrorCounts: MirrorCounts | undefined;
  /** Ends what the registry does by itself, and closes the store. */
  close(): Promise<void>;
};

/** Builds content and access control. Throws when the store can't be opened or a setting can't work. */
export async function openRegistry(
  config: Config,
  log: Logger,
  observe: ObserveDriver = (driver) => driver,
  peers: Peers = NO_PEERS,
): Promise<OpenedRegistry> {
  const { bridge, http, pages, protocols, storage } = config;
  const redis = config.redis && (await RedisCache.open(config.redis, log));
  const content = openContent(config, log, observe, redis);
  if (!storage.readOnly) {
    await content.driver.open?.();
    await upgradeContent(content, log);
  }
  const mirror =
    protocols.v1.mirror && openMirror(protocols.v1.mirror, content, log, { shared: redis });
  const hooks = protocols.v1.hooks && (await loadHooks(protocols.v1.hooks, log));
  return {
    content,
    mirrorCounts: mirror?.counts,
    access: await createAccessControl(config, content.driver, log, peers),
    limits: {
      manifestBytes: http.limits.manifestBytes,
      jsonBytes: http.limits.jsonBytes,
      catalogPage: pages.catalog,
      tagsPage: pages.tags,
      layerBytes: bridge.maxLayerBytes,
    },
    urls: http.urls,
    log,
    readOnly: storage.readOnly,
    deletion: storage.delete,
    ...accelRedirect(storage),
    v1: { ...v1Options(config), ...(mirror && { mirror }), ...(hooks && { hooks }) },
    v2: { hideFromOldEngines: protocols.v2.hideFromOldEngines },
    close: async () => {
      await mirror?.close();
      await content.close();
      redis?.close();
    },
  };
}

function v1Options({ protocols, search, source }: Config): V1Options {
  const { registryEndpoints, standalone, issue, debug } = protocols.v1;
  return {
    endpoints: registryEndpoints,
    standalone,
    issue,
    search: search.enabled,
    ...(debug && source.flavor !== undefined && { flavor: source.flavor }),
  };
}

/** Only files can be sent by a web server in front. */
function accelRedirect({
  driver,
  accelRedirect: prefix,
}: StorageConfig): Pick<Registry, 'accelRedirect'> {
  if (prefix === undefined || driver.kind !== 'filesystem') return {};
  return { accelRedirect: { prefix, root: resolve(driver.root) } };
}

/** Brings what earlier builds stored to where it lies today. */
export async function upgradeContent(content: ContentStore, log: Logger): Promise<void> {
  const images = await upgradeV1Layout(content.driver);
  if (images > 0)
    log.info('V1 images of an earlier build were moved to where they lie today', { images });
}

/** The content store alone, as offline commands use it. */
export function openContent(
  config: Config,
  log: Logger,
  observe: ObserveDriver = (driver) => driver,
  redis?: RedisCache,
): ContentStore {
  const { bridge, storage } = config;
  return new ContentStore(observe(createDriver(driverOptions(storage))), {
    ...(storage.cache.backend === 'redis' && { shared: redis }),
    cacheBytes: storage.cache.manifestBytes + storage.cache.blobBytes,
    policy: manifestPolicy(config.validation),
    bridge: {
      platforms: platformLists(bridge),
      platformFromUserAgent: bridge.platformFromUserAgent,
      waitMs: bridge.waitSeconds * 1000,
      concurrency: bridge.concurrency,
      linkTwins: bridge.linkTwins,
      compressPlain: bridge.compressPlain,
      maxLayerBytes: bridge.maxLayerBytes,
      maxLayerRatio: bridge.maxLayerRatio,
      schema1: bridge.schema1Enabled ? { keyFile: bridge.schema1SigningKeyFile } : undefined,
      onUnbridgeable: (repository, manifest, reason) =>
        log.info('no V1 view of manifest', { repository, digest: manifest, reason }),
      onContradiction: (imageId, manifest) =>
        log.warn('pushed image has the ID of another image', { imageId, digest: manifest }),
      onNotLifted: (repository, imageId, reason) =>
        log.warn('no V2 view of image', { repository, imageId, reason }),
      onProofFailure: (repository, error) =>
        log.warn('proof of diff IDs broke off', { repository, error: String(error) }),
    },
  });
}

function driverOptions({ driver, redirect }: StorageConfig): DriverOptions {
  if (driver.kind === 'memory' || driver.kind === 'filesystem') return driver;
  if (driver.kind === 's3') return { ...driver, redirect };
  throw new Error(`there is no storage driver ${driver.kind} yet; use filesystem, s3 or memory`);
}

function manifestPolicy(validation: ValidationConfig): ManifestPolicy {
  const { references, urls, indexes } = validation;
  const compile = (rules: string[]) => rules.map((rule) => new RegExp(rule));
  const ruled = urls.allow.length > 0 || urls.deny.length > 0;
  return {
    references,
    // Without a rule every URL is taken: refusing all, as distribution does, fails the OCI conformance suite.
    ...(ruled && { urls: { allow: compile(urls.allow), deny: compile(urls.deny) } }),
    indexes: typeof indexes === 'string' ? indexes : indexes.platforms,
  };
}

/** The wishes for each repository: the first list whose pattern matches, else the general one. */
function platformLists(bridge: BridgeConfig) {
  const general = bridge.platforms.flatMap((text) => parsePlatform(text) ?? []);
  const special = bridge.platformsFor.map(({ repositories, platforms }) => ({
    matches: repositoryMatcher(repositories),
    wishes: platforms.flatMap((text) => parsePlatform(text) ?? []),
  }));
  return (repository: string) =>
    special.find((list) => list.matches(repository))?.wishes ?? general;
}
