import { readAuth } from './auth.ts';
import type { Config, ConfigSource } from './config.ts';
import { readHttp } from './http.ts';
import { type AccessLogConfig, readLog, readWorkers } from './process.ts';
import { readBridge, readPages, readProtocols, readValidation } from './protocols.ts';
import type { Section } from './reader.ts';
import {
  readCors,
  readErrorWebhook,
  readHealth,
  readMail,
  readNotifications,
  readProxy,
  readRedis,
  readSearch,
} from './services.ts';
import { readStorage } from './storage.ts';

/** Where the two kinds of file differ when nothing is said. */
export interface Defaults {
  drainSeconds: number;
  headers: Record<string, string[]>;
  storageRoot: string;
  delete: boolean;
  accessLog: AccessLogConfig['format'];
  workers: number | 'auto';
}

/** The configuration that a tree of sections says; both kinds of file end here. */
export function readSections(root: Section, source: ConfigSource, defaults: Defaults): Config {
  const config: Config = {
    source,
    http: readHttp(root, defaults),
    storage: readStorage(root, { root: defaults.storageRoot, delete: defaults.delete }),
    protocols: readProtocols(root),
    bridge: readBridge(root),
    validation: readValidation(root),
    pages: readPages(root),
    auth: readAuth(root),
    notifications: readNotifications(root),
    health: readHealth(root),
    log: readLog(root, { access: defaults.accessLog }),
    workers: readWorkers(root, defaults),
    search: readSearch(root),
    redis: readRedis(root),
    proxy: readProxy(root),
    cors: readCors(root),
    mail: readMail(root),
    errorWebhook: readErrorWebhook(root),
  };
  keepMemoryInOneProcess(root, config);
  warnOfLaterWork(root, config);
  root.finish();
  return config;
}

/** Each worker would have a memory of its own: what one was given, the others would not find. */
function keepMemoryInOneProcess(root: Section, { storage, workers }: Config): void {
  if (storage.driver.kind !== 'memory' || workers.count === 1) return;
  if (root.node('workers') === undefined) workers.count = 1;
  else {
    root.mistake(
      'workers',
      `${workers.count} workers can't share storage in memory; set it to 1 (GUNICORN_WORKERS=1), or storage to filesystem`,
    );
  }
}

/** Settings that are understood but not yet acted upon, where silence would let the operator believe otherwise. */
function warnOfLaterWork(root: Section, config: Config): void {
  const middleware = root.section('middleware');
  for (const kind of ['registry', 'repository', 'storage']) {
    if (middleware.node(kind) !== undefined)
      middleware.warning(kind, 'middleware is not loaded by this version');
  }
  const log = root.section('log');
  if (log.node('hooks') !== undefined) log.warning('hooks', 'no mail is sent by this version');
  const policy = root.section('policy').section('repository');
  if (policy.node('classes') !== undefined)
    policy.warning('classes', 'classes are not checked by this version');
  const reporting = root.section('reporting');
  for (const kind of ['bugsnag', 'newrelic']) {
    if (reporting.node(kind) !== undefined)
      reporting.warning(kind, 'the service is gone from registries; ignored');
  }
  warnOfIdleRedis(root, config);
}

/** Redis keeps small blobs for storage that lies elsewhere, and the tags of a mirror (v1.md 5). */
function warnOfIdleRedis(root: Section, { redis, storage, protocols }: Config): void {
  const caches = storage.cache.backend === 'redis';
  if (redis === undefined) {
    if (caches) root.warning('storage.cache.blobdescriptor', 'there is no section redis; ignored');
    return;
  }
  if (protocols.v1.mirror !== undefined) return;
  if (!caches) {
    root.warning('redis', 'nothing uses Redis unless storage.cache.blobdescriptor is redis');
  } else if (storage.driver.kind === 'filesystem') {
    root.warning(
      'redis',
      'nothing uses Redis: files of this machine are read faster than it answers',
    );
  }
}
