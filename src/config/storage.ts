import type { Section } from './reader.ts';
import { didYouMean } from './suggest.ts';
import { emptyMap, type MapNode, normalizeKey } from './tree.ts';

export interface StorageConfig {
  driver: DriverConfig;
  /** Whether manifests, tags and blobs may be deleted. Default false; true with a flavors file. */
  delete: boolean;
  /** Refuses every write. Default false. */
  readOnly: boolean;
  /** Whether clients are sent to a backend that has URLs of its own, for layers. Default true; false in a flavors file. */
  redirect: boolean;
  /** Internal location of nginx that sends the files of a filesystem store (X-Accel-Redirect); undefined for none. */
  accelRedirect: string | undefined;
  purge: PurgeConfig;
  cache: CacheConfig;
}

export type DriverConfig =
  | FilesystemConfig
  | { kind: 'memory' }
  | S3Config
  | AzureConfig
  | GcsConfig;

export interface FilesystemConfig {
  kind: 'filesystem';
  /** Directory that holds everything. Default ./data; /var/lib/registry with distribution's config. */
  root: string;
  /** Whether content is flushed to disk before it is acknowledged. Default true. */
  fsync: boolean;
}

/** Amazon S3, Ceph, MinIO, versitygw and the like. */
export interface S3Config {
  kind: 's3';
  bucket: string;
  region: string | undefined;
  /** URL of a service that is not Amazon's. */
  endpoint: string | undefined;
  /** Key prefix. Default ''. */
  root: string;
  /** Both undefined: the credentials of the environment. */
  accessKey: string | undefined;
  secretKey: string | undefined;
  /** Server-side encryption. Default false; key of the KMS, or the service's own. */
  encrypt: boolean;
  keyId: string | undefined;
  /** Default false; true where an endpoint is set by V1's boto_host. */
  forcePathStyle: boolean;
  skipVerify: boolean;
  /** Bytes of one part of a multipart upload. Default 10 MiB, at least 5. */
  chunkBytes: number;
  /** Default STANDARD; NONE sends none. */
  storageClass: string;
}

/** Azure Blob Storage; there is no driver for it yet. */
export interface AzureConfig {
  kind: 'azure';
  accountName: string;
  accountKey: string | undefined;
  container: string;
  serviceUrl: string | undefined;
  connectionString: string | undefined;
  root: string;
}

/** Google Cloud Storage; there is no driver for it yet. */
export interface GcsConfig {
  kind: 'gcs';
  bucket: string;
  /** Path of the service account's key; undefined: the credentials of the environment. */
  keyFile: string | undefined;
  root: string;
  chunkBytes: number;
}

export interface PurgeConfig {
  /** Whether abandoned uploads are removed. Default true. */
  enabled: boolean;
  /** Seconds without a byte after which an upload is abandoned. Default 168 hours. */
  ageSeconds: number;
  /** Seconds between two looks. Default 24 hours. */
  intervalSeconds: number;
  /** Only logs what would be removed. Default false. */
  dryRun: boolean;
}

/** Memory that each worker may spend on what it has read. */
export interface CacheConfig {
  /** Where descriptors are cached: memory, or redis for all nodes. Default memory. */
  backend: 'none' | 'memory' | 'redis';
  /** Bytes of manifests. Default 32 MiB. */
  manifestBytes: number;
  /** Bytes of small blobs such as image configs. Default 16 MiB. */
  blobBytes: number;
}

const DRIVERS: Record<string, DriverConfig['kind']> = {
  filesystem: 'filesystem',
  file: 'filesystem',
  local: 'filesystem',
  inmemory: 'memory',
  memory: 'memory',
  dumb: 'memory',
  s3: 's3',
  s3aws: 's3',
  azure: 'azure',
  azureblob: 'azure',
  gcs: 'gcs',
};

const OTHER_KEYS = ['cache', 'delete', 'redirect', 'maintenance', 'tag', 'accelredirect'];

/** The section `storage`: a driver's name, or a map with one driver in it and the rest beside it. */
export function readStorage(
  root: Section,
  defaults: { root: string; delete: boolean },
): StorageConfig {
  const storage = openStorage(root);
  const maintenance = storage.section('maintenance');
  storage.section('tag').idle('concurrencylimit');
  const purging = maintenance.section('uploadpurging');
  return {
    driver: readDriver(storage, defaults.root),
    delete: storage.switch('delete', defaults.delete),
    readOnly: maintenance.switch('readonly', false),
    redirect: !storage.section('redirect').boolean('disable', false),
    accelRedirect: storage.string('accelredirect')?.replace(/\/+$/, ''),
    purge: {
      enabled: purging.boolean('enabled', true),
      ageSeconds: purging.duration('age', 168 * 3600),
      intervalSeconds: purging.duration('interval', 24 * 3600),
      dryRun: purging.boolean('dryrun', false),
    },
    cache: readCache(storage.section('cache')),
  };
}

function openStorage(root: Section): Section {
  const node = root.node('storage');
  if (node?.kind !== 'scalar') return root.section('storage');
  const map: MapNode = {
    ...emptyMap(node.origin),
    entries: new Map([[node.text, emptyMap(node.origin)]]),
  };
  return root.adopt(map, 'storage');
}

function readDriver(storage: Section, defaultRoot: string): DriverConfig {
  const names = storage.written().filter((key) => DRIVERS[key.toLowerCase()] !== undefined);
  const strangers = storage
    .written()
    .filter((key) => !names.includes(key) && !OTHER_KEYS.includes(normalizeKey(key)));
  for (const key of strangers) {
    const near = didYouMean(key, [...Object.keys(DRIVERS), ...OTHER_KEYS]);
    storage.mistake(
      key,
      `there is no storage driver of this name; use filesystem, inmemory, s3, azure or gcs${near}`,
    );
  }
  if (names.length > 1)
    storage.mistake('', `expected exactly one storage driver, got ${names.join(' and ')}`);
  storage.ignore(...strangers, ...names);
  const name = names[0] ?? 'filesystem';
  return readDriverOptions(
    DRIVERS[name.toLowerCase()] ?? 'filesystem',
    storage.section(name),
    defaultRoot,
  );
}

function readDriverOptions(
  kind: DriverConfig['kind'],
  options: Section,
  defaultRoot: string,
): DriverConfig {
  switch (kind) {
    case 'filesystem':
      options.idle('maxthreads');
      return {
        kind,
        root: options.string('rootdirectory', defaultRoot),
        fsync: options.boolean('fsync', true),
      };
    case 'memory':
      options.ignore('rootdirectory');
      return { kind };
    case 's3':
      return readS3(options);
    case 'azure':
      return readAzure(options);
    case 'gcs':
      options.ignore('maxconcurrency', 'useragent', 'credentials');
      return {
        kind,
        bucket: required(options, 'bucket'),
        keyFile: options.string('keyfile'),
        root: options.string('rootdirectory', ''),
        chunkBytes: options.bytes('chunksize', { min: 256 * 1024 }, 16 * 1024 * 1024),
      };
  }
}

function readS3(options: Section): S3Config {
  options.ignore(
    'v4auth',
    'multipartcopychunksize',
    'multipartcopymaxconcurrency',
    'multipartcopythresholdsize',
    'objectacl',
    'useragent',
    'usedualstack',
    'accelerate',
    'usefipsendpoint',
    'loglevel',
    'redirectendpoint',
  );
  const endpoint = options.string('regionendpoint');
  const secure = options.boolean('secure', true);
  const region = options.string('region');
  if (region === undefined && endpoint === undefined) {
    options.warning(
      'region',
      'neither region nor regionendpoint is set; the region of the environment is used',
    );
  }
  return {
    kind: 's3',
    bucket: required(options, 'bucket'),
    region,
    endpoint:
      endpoint === undefined || /^https?:\/\//.test(endpoint)
        ? endpoint
        : `${secure ? 'https' : 'http'}://${endpoint}`,
    root: options.string('rootdirectory', ''),
    accessKey: options.string('accesskey'),
    secretKey: options.string('secretkey'),
    encrypt: options.boolean('encrypt', false),
    keyId: options.string('keyid'),
    forcePathStyle: options.boolean('forcepathstyle', endpoint !== undefined),
    skipVerify: options.boolean('skipverify', false),
    chunkBytes: options.bytes('chunksize', { min: 5 * 1024 * 1024 }, 10 * 1024 * 1024),
    storageClass: options.string('storageclass', 'STANDARD'),
  };
}

function readAzure(options: Section): AzureConfig {
  options.ignore('realm', 'credentials', 'max_retries', 'retry_delay', 'skipverify');
  return {
    kind: 'azure',
    accountName: required(options, 'accountname'),
    accountKey: options.string('accountkey'),
    container: required(options, 'container'),
    serviceUrl: options.string('serviceurl'),
    connectionString: options.string('connectionstring'),
    root: options.string('rootdirectory', ''),
  };
}

function readCache(cache: Section): CacheConfig {
  // `layerinfo` is the name that distribution 2.0 had.
  const words = ['none', 'inmemory', 'memory', 'redis'] as const;
  const word =
    cache.choice('blobdescriptor', words) ?? cache.choice('layerinfo', words) ?? 'memory';
  cache.ignore('layerinfo');
  cache.idle('blobdescriptorsize');
  return {
    backend: word === 'inmemory' ? 'memory' : word,
    manifestBytes: cache.bytes('manifestbytes', {}, 32 * 1024 * 1024),
    blobBytes: cache.bytes('blobbytes', {}, 16 * 1024 * 1024),
  };
}

function required(options: Section, key: string): string {
  const value = options.string(key);
  if (value === undefined) options.mistake(key, 'is needed by this storage driver');
  return value ?? '';
}
