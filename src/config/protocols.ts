import { isRepositoryPattern } from './patterns.ts';
import type { Section } from './reader.ts';

export interface ProtocolsConfig {
  v1: V1Config;
  v2: V2Config;
}

/** What docker-registry 0.9 could be told (v1.md 4.3), by its own words. */
export interface V1Config {
  /** Whether `/v1/` is served. Default true. */
  enabled: boolean;
  /** Serves the index routes and asks no outside index about tokens. Default true. */
  standalone: boolean;
  /** Whether `standalone` was said by the operator, not by a default. */
  standaloneSaid: boolean;
  /** Index that checks tokens when not standalone. Default https://index.docker.io. */
  indexEndpoint: string;
  /** Not standalone, and yet no token is checked. Default false. */
  disableTokenAuth: boolean;
  /** Value of `X-Docker-Endpoints`; undefined: the Host header of the request. */
  registryEndpoints: string | undefined;
  /** Body of `GET /`. Default "docker-registry server". */
  issue: string;
  /** Whether `_ping` names the flavor. Default false; never allowed in prod. */
  debug: boolean;
  /** Path of an ES module whose exports are told of V1's writes; undefined for none. */
  hooks: string | undefined;
  /** An upstream V1 registry to pull through; undefined for none. */
  mirror: MirrorConfig | undefined;
}

export interface MirrorConfig {
  /** URL of the registry that has what we lack. */
  source: string;
  /** URL of its index. Default: the source. */
  sourceIndex: string;
  /** Our own account there; clients' credentials never go upstream. */
  username: string | undefined;
  password: string | undefined;
  /** Seconds that its tags are believed. Default 172,800. */
  tagsCacheSeconds: number;
}

export interface V2Config {
  /** Whether `/v2/` is served. Default true. */
  enabled: boolean;
  /** Whether `/v2/` hides from engines before docker 1.6, whose draft of V2 fails for good. Default true. */
  hideFromOldEngines: boolean;
}

/** Between V1 images and V2 manifests (bridge.md). */
export interface BridgeConfig {
  /** Platforms that a V1 view of an index shows, best first. Default [linux/amd64]. */
  platforms: string[];
  /** Other lists for repositories whose name matches; the first match counts. Default none. */
  platformsFor: { repositories: string; platforms: string[] }[];
  /** Whether an old engine's own `os/… arch/…` comes first. Default true. */
  platformFromUserAgent: boolean;
  /** Bytes that one layer may decompress to. Default 64 GiB. */
  maxLayerBytes: number;
  /** Times its own size that a layer may decompress to, beyond the first MiB. Default 1,100 (gzip's limit is 1,032). */
  maxLayerRatio: number;
  /** Seconds that a V1 request waits for the proof of a manifest's diff IDs. Default 60. */
  waitSeconds: number;
  /** Whether a V1 layer that is stored already under another compression is kept once. Default true. */
  linkTwins: boolean;
  /** Whether plain V1 layers are compressed once for V2 clients. Default false. */
  compressPlain: boolean;
  /** Layers that are looked into in the background at the same time. Default 1. */
  concurrency: number;
  /** Path of the P-256 key (JWK or PEM) that signs schema 1 manifests; undefined: made once and kept in the store. */
  schema1SigningKeyFile: string | undefined;
  /** Whether schema 1 manifests are accepted and served. Default true. */
  schema1Enabled: boolean;
}

/** What a pushed manifest must satisfy (v2.md 2.3). */
export interface ValidationConfig {
  /** Whether references must be stored. Default true. */
  references: boolean;
  /** Regular expressions for `urls` of foreign layers. Both empty: none is allowed. */
  urls: { allow: string[]; deny: string[] };
  /** Which children of an index must be stored. Default all. */
  indexes: 'all' | 'none' | { platforms: { os: string; architecture: string }[] };
}

/** Sizes of pages. */
export interface PagesConfig {
  /** Most names that one page of the catalog holds. Default 1000. */
  catalog: number;
  /** Most tags that one page holds. Default 1000. */
  tags: number;
}

/** The section `protocols`. */
export function readProtocols(root: Section): ProtocolsConfig {
  const protocols = root.section('protocols');
  const v2 = protocols.section('v2');
  return {
    v1: readV1(protocols.section('v1')),
    v2: {
      enabled: v2.boolean('enabled', true),
      hideFromOldEngines: v2.boolean('hidefromoldengines', true),
    },
  };
}

function readV1(v1: Section): V1Config {
  const mirroring = v1.section('mirroring');
  const source = mirroring.url('source');
  const mirror = {
    sourceIndex: mirroring.url('source_index') ?? source ?? '',
    username: mirroring.string('username'),
    password: mirroring.string('password'),
    tagsCacheSeconds: mirroring.duration('tags_cache_ttl', 172_800),
  };
  const standalone = v1.node('standalone');
  if (v1.node('privileged_key') !== undefined) {
    v1.warning(
      'privileged_key',
      'ignored: X-Signature is accepted from nobody, as in docker-registry 0.9, where it could be replayed; give an account the rights instead',
    );
  }
  return {
    enabled: v1.boolean('enabled', true),
    standalone: v1.boolean('standalone', true),
    standaloneSaid: standalone !== undefined && standalone.origin.kind !== 'default',
    indexEndpoint: v1.url('index_endpoint') ?? 'https://index.docker.io',
    disableTokenAuth: v1.boolean('disable_token_auth', false),
    registryEndpoints: v1.string('registry_endpoints'),
    issue: v1.string('issue', '"docker-registry server"'),
    debug: v1.boolean('debug', false),
    hooks: v1.string('hooks'),
    mirror: source === undefined ? undefined : { source, ...mirror },
  };
}

/** The sections `bridge` and `schema1`; `compatibility.schema1` is distribution 2's form of the latter. */
export function readBridge(root: Section): BridgeConfig {
  const bridge = root.section('bridge');
  const schema1 = root.section('schema1');
  const compatibility = root.section('compatibility').section('schema1');
  const platforms = readPlatforms(bridge, 'platforms', ['linux/amd64']);
  return {
    platforms,
    platformsFor: bridge.sections('platformsFor').map((each) => ({
      repositories: readPattern(each, 'repositories'),
      platforms: readPlatforms(each, 'platforms', platforms),
    })),
    platformFromUserAgent: bridge.boolean('platformFromUserAgent', true),
    maxLayerBytes: bridge.bytes('maxLayerBytes', { min: 1 }, 64 * 1024 ** 3),
    maxLayerRatio: bridge.integer('maxLayerRatio', { min: 1 }, 1100),
    waitSeconds: bridge.duration('waitSeconds', 60),
    linkTwins: bridge.boolean('linkTwins', true),
    compressPlain: bridge.boolean('compressPlain', false),
    concurrency: bridge.integer('concurrency', { min: 1, max: 64 }, 1),
    schema1SigningKeyFile:
      schema1.string('signingKeyFile') ?? compatibility.string('signingkeyfile'),
    schema1Enabled: schema1.boolean('enabled') ?? compatibility.boolean('enabled') ?? true,
  };
}

function readPlatforms(section: Section, key: string, fallback: string[]): string[] {
  const platforms = section.strings(key, fallback);
  const wrong = platforms.find((each) => !/^[a-z0-9]+\/[a-z0-9_]+(\/[a-z0-9]+)?$/.test(each));
  if (wrong === undefined && platforms.length > 0) return platforms;
  section.mistake(
    key,
    `expected os/architecture or os/architecture/variant, such as linux/arm/v7, got "${wrong ?? ''}"`,
  );
  return fallback;
}

function readPattern(section: Section, key: string): string {
  const pattern = section.string(key, '**');
  if (!isRepositoryPattern(pattern)) {
    section.mistake(
      key,
      `expected a repository pattern such as team/* or library/**, got "${pattern}"`,
    );
  }
  return pattern;
}

/** The section `validation`. */
export function readValidation(root: Section): ValidationConfig {
  const validation = root.section('validation');
  const manifests = validation.section('manifests');
  const urls = manifests.section('urls');
  const indexes = manifests.section('indexes');
  const which = indexes.choice('platforms', ['all', 'none', 'list'], 'all');
  const platforms = indexes.sections('platformlist').map((each) => ({
    os: each.string('os', 'linux'),
    architecture: each.string('architecture', 'amd64'),
  }));
  return {
    references: validation.boolean('enabled', true) && !validation.boolean('disabled', false),
    urls: { allow: readExpressions(urls, 'allow'), deny: readExpressions(urls, 'deny') },
    indexes: which === 'list' ? { platforms } : which,
  };
}

function readExpressions(urls: Section, key: string): string[] {
  const expressions = urls.strings(key, []);
  for (const each of expressions) {
    try {
      new RegExp(each);
    } catch {
      urls.mistake(key, `"${each}" is no regular expression`);
    }
  }
  return expressions;
}

/** The sections `catalog` and `tags`. */
export function readPages(root: Section): PagesConfig {
  return {
    catalog: root.section('catalog').integer('maxentries', { min: 1 }, 1000),
    tags: root.section('tags').integer('maxtags', { min: 1 }, 1000),
  };
}
