import type { Findings } from './findings.ts';
import {
  emptyMap,
  isNull,
  type MapNode,
  nodeAt,
  putAt,
  spelledKey,
  type TreeNode,
} from './tree.ts';

/** docker-registry's keys (v1.md 4.3) and the setting that each stands for. Later rows win. */
const MOVED: Record<string, string> = {
  loglevel: 'log.level',
  issue: 'protocols.v1.issue',
  debug: 'protocols.v1.debug',
  standalone: 'protocols.v1.standalone',
  index_endpoint: 'protocols.v1.index_endpoint',
  disable_token_auth: 'protocols.v1.disable_token_auth',
  privileged_key: 'protocols.v1.privileged_key',
  registry_endpoints: 'protocols.v1.registry_endpoints',
  mirroring: 'protocols.v1.mirroring',
  nginx_x_accel_redirect: 'storage.accelredirect',
};

/** Keys of docker-registry's drivers, by our name of the driver. */
const DRIVER_KEYS: Record<string, Record<string, string>> = {
  filesystem: { storage_path: 'rootdirectory' },
  inmemory: { storage_path: 'rootdirectory' },
  s3: {
    storage_path: 'rootdirectory',
    s3_bucket: 'bucket',
    boto_bucket: 'bucket',
    s3_region: 'region',
    s3_encrypt: 'encrypt',
    s3_secure: 'secure',
    s3_access_key: 'accesskey',
    s3_secret_key: 'secretkey',
    boto_host: 'regionendpoint',
  },
  gcs: { storage_path: 'rootdirectory', boto_bucket: 'bucket' },
  azure: {
    storage_path: 'rootdirectory',
    azure_storage_account_name: 'accountname',
    azure_storage_account_key: 'accountkey',
    azure_storage_container: 'container',
  },
};

/** docker-registry's names of drivers. */
const DRIVER_NAMES: Record<string, string> = {
  local: 'filesystem',
  file: 'filesystem',
  filesystem: 'filesystem',
  dumb: 'inmemory',
  inmemory: 'inmemory',
  memory: 'inmemory',
  s3: 's3',
  'ceph-s3': 's3',
  cloudfronts3: 's3',
  gcs: 'gcs',
  azureblob: 'azure',
  azure: 'azure',
};

const OBSOLETE: Record<string, string> = {
  sqlalchemy_index_database: 'the search index needs no database',
  bugsnag:
    'errors are in the log, mailed when email_exceptions is set, posted when exceptions.webhook is',
  extensions:
    'Python extensions can not be loaded; protocols.v1.hooks loads a module of JavaScript',
  boto_debug: 'it steered a Python library',
  boto_calling_format: 'set storage.s3.forcepathstyle instead',
  s3_use_sigv4: 'requests are always signed that way',
  boto_proxy: 'set HTTPS_PROXY instead',
  boto_proxy_port: 'set HTTPS_PROXY instead',
  boto_proxy_user: 'set HTTPS_PROXY instead',
  boto_proxy_pass: 'set HTTPS_PROXY instead',
  gs_access_key: 'set storage.gcs.keyfile instead',
  gs_secret_key: 'set storage.gcs.keyfile instead',
  gs_secure: 'https is always used',
  oauth2: 'set storage.gcs.keyfile instead',
  azure_use_https: 'https is always used',
  storage_alternate: 'there is one storage driver',
  cloudfront: 'layers are not redirected through CloudFront',
};

/** Settings of drivers that do not exist here; the driver's name is already a mistake. */
const FOREIGN_DRIVER_KEY = /^(swift|elliptics|oss|glance)_/;

/** Top-level keys with `_`, which `REGISTRY_…` may name. */
export const FLAT_KEYS: readonly string[] = [
  ...Object.keys(MOVED),
  ...Object.values(DRIVER_KEYS).flatMap((keys) => Object.keys(keys)),
  'storage_redirect',
  'search_backend',
].filter((key) => key.includes('_'));

/** Rewrites docker-registry's flat keys into the sections that stand for them; obsolete ones are named and dropped. */
export function translateLegacyKeys(root: MapNode, findings: Findings): void {
  for (const [key, path] of Object.entries(MOVED)) move(root, key, path, findings);
  translateStorage(root, findings);
  translateRedis(root, findings);
  for (const [key, why] of Object.entries(OBSOLETE)) {
    const node = take(root, key);
    if (node !== undefined) findings.warning(key, node.origin, `obsolete and ignored: ${why}`);
  }
  for (const key of [...root.entries.keys()]) {
    if (FOREIGN_DRIVER_KEY.test(key)) root.entries.delete(key);
  }
}

function translateStorage(root: MapNode, findings: Findings): void {
  const redirect = take(root, 'storage_redirect');
  const driver = openDriver(root);
  const keys = DRIVER_KEYS[driver] ?? DRIVER_KEYS.filesystem ?? {};
  const port = take(root, 'boto_port');
  for (const [key, name] of Object.entries(keys)) {
    // Of the two names of the bucket, boto_bucket is the one that docker-registry used.
    move(root, key, `storage.${driver}.${name}`, findings, key === 'boto_bucket');
  }
  const host = nodeAt(root, `storage.${driver}.regionendpoint`);
  if (driver === 's3' && host?.kind === 'scalar' && port?.kind === 'scalar') {
    putAt(root, 'storage.s3.regionendpoint', { ...host, text: `${host.text}:${port.text}` });
  }
  const others = Object.values(DRIVER_KEYS).flatMap((each) => Object.keys(each));
  for (const key of others.filter((each) => keys[each] === undefined)) {
    const node = take(root, key);
    if (node !== undefined)
      findings.warning(key, node.origin, `the storage driver ${driver} has no use for it`);
  }
  translateRedirect(root, redirect);
}

/** Turns `storage: local` into a map, and gives the name of the driver in it. */
function openDriver(root: MapNode): string {
  const node = nodeAt(root, 'storage');
  if (node?.kind === 'map') {
    return (
      [...node.entries.keys()].find((key) => DRIVER_NAMES[key.toLowerCase()] !== undefined) ??
      'filesystem'
    );
  }
  if (node?.kind !== 'scalar' || isNull(node)) return 'filesystem';
  const name = DRIVER_NAMES[node.text.toLowerCase()] ?? node.text;
  const options = { ...emptyMap(node.origin), writtenAs: 'storage' };
  putAt(root, 'storage', {
    ...emptyMap(node.origin),
    entries: new Map([[name, options]]),
    writtenAs: 'storage',
  });
  return name;
}

/** docker-registry redirected only when told to; distribution does unless told not to. */
function translateRedirect(root: MapNode, redirect: TreeNode | undefined): void {
  if (nodeAt(root, 'storage.redirect') !== undefined) return;
  const on = redirect?.kind === 'scalar' && !/^(false|no|off|0|)$/i.test(redirect.text);
  const origin = redirect?.origin ?? root.origin;
  putAt(root, 'storage.redirect.disable', {
    kind: 'scalar',
    text: String(!on),
    quoted: false,
    origin,
  });
}

/** `cache` and `cache_lru` each named a Redis; one is enough. */
function translateRedis(root: MapNode, findings: Findings): void {
  for (const key of ['cache', 'cache_lru']) {
    const node = take(root, key);
    if (
      node?.kind !== 'map' ||
      nodeAt(node, 'host') === undefined ||
      isNull(nodeAt(node, 'host') ?? node)
    )
      continue;
    if (nodeAt(root, 'redis') !== undefined) {
      findings.warning(key, node.origin, 'one Redis is used for everything; this one is ignored');
      continue;
    }
    putAt(root, 'redis', { ...node, writtenAs: key });
    const word = { kind: 'scalar', text: 'redis', quoted: false, origin: node.origin } as const;
    putAt(root, 'storage.cache.blobdescriptor', word);
  }
}

function move(root: MapNode, key: string, path: string, findings: Findings, replace = false): void {
  const node = take(root, key);
  if (node === undefined) return;
  const there = nodeAt(root, path);
  if (there !== undefined && !isNull(there) && !replace && node.origin.kind !== 'environment') {
    findings.mistake(key, node.origin, `given twice, also as ${path}; keep one of them`);
    return;
  }
  putAt(root, path, { ...node, writtenAs: key });
}

/** Removes a key and gives its node; undefined when absent or null. */
function take(root: MapNode, key: string): TreeNode | undefined {
  const spelled = spelledKey(root, key);
  const node = root.entries.get(spelled);
  root.entries.delete(spelled);
  return node === undefined || isNull(node) ? undefined : node;
}
