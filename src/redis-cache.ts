import { readFileSync } from 'node:fs';
import type * as IoRedis from 'ioredis';
import type { Logger } from '../protocols/registry.ts';
import type { SharedCache } from '../storage/shared-cache.ts';
import type { RedisConfig } from './config/services.ts';

/** The longest time that a request waits for Redis, whatever the settings allow, in milliseconds. */
const MOST_PATIENCE_MS = 250;
/** How long a Redis that did not answer in time is left alone, in milliseconds. */
const REST_MS = 5000;
/** Values beyond are not worth the way. */
const LARGEST_VALUE = 1 << 20;
/** Pause before the connection is tried again: it grows by each failure up to the last. */
const FIRST_PAUSE_MS = 100;
const LAST_PAUSE_MS = 5000;

type Client = IoRedis.Redis | IoRedis.Cluster;

/**
 * A Redis or Valkey as a cache. While it is away or slow, nothing is found and nothing is kept; that it is, and that it
 * is back, is logged once each.
 */
export class RedisCache implements SharedCache {
  readonly #client: Client;
  readonly #log: Logger;
  readonly #patienceMs: number;
  #restUntil = 0;
  #away = false;

  private constructor(client: Client, config: RedisConfig, log: Logger) {
    this.#client = client;
    this.#log = log;
    this.#patienceMs = Math.min(config.readSeconds * 1000 || MOST_PATIENCE_MS, MOST_PATIENCE_MS);
    client.on('error', (error: Error) => this.#lost(error));
    client.on('close', () => this.#lost(new Error('the connection was closed')));
    client.on('ready', () => this.#back());
    client.connect().catch(() => undefined);
  }

  /** Connects in the background. Throws when the package that speaks to Redis is not installed. */
  static async open(config: RedisConfig, log: Logger): Promise<RedisCache> {
    const { Redis, Cluster } = await loadClient();
    const options = optionsOf(config);
    const nodes = config.addresses.map(addressOf);
    const [first = { host: '127.0.0.1', port: 6379 }] = nodes;
    let client: Client;
    if (config.masterName !== undefined) {
      client = new Redis({
        ...options,
        ...sentinelOptionsOf(config, options.tls),
        sentinels: nodes,
        name: config.masterName,
      });
    } else if (nodes.length > 1) {
      client = new Cluster(nodes, {
        lazyConnect: true,
        enableOfflineQueue: false,
        redisOptions: options,
      });
    } else {
      client = new Redis({ ...options, ...first });
    }
    return new RedisCache(client, config, log);
  }

  async get(key: string): Promise<Buffer | undefined> {
    if (!this.#isUsable()) return undefined;
    try {
      return (await this.#soon(this.#client.getBuffer(key))) ?? undefined;
    } catch (error) {
      this.#failed(error);
      return undefined;
    }
  }

  set(key: string, value: Buffer | string, seconds?: number): void {
    if (value.length > LARGEST_VALUE || !this.#isUsable()) return;
    const setting =
      seconds === undefined
        ? this.#client.set(key, value)
        : this.#client.set(key, value, 'EX', Math.max(1, Math.ceil(seconds)));
    this.#soon(setting).catch((error: unknown) => this.#failed(error));
  }

  close(): void {
    this.#client.removeAllListeners();
    this.#client.on('error', () => undefined);
    this.#client.disconnect();
  }

  #isUsable(): boolean {
    return this.#client.status === 'ready' && Date.now() >= this.#restUntil;
  }

  /** A Redis that holds the connection and does not answer must hold nobody up. */
  async #soon<T>(answer: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<never>((_, reject) => {
      const late = () => reject(new Error(`no answer within ${this.#patienceMs} ms`));
      timer = setTimeout(late, this.#patienceMs);
    });
    answer.catch(() => undefined);
    try {
      const value = await Promise.race([answer, limit]);
      this.#back();
      return value;
    } finally {
      clearTimeout(timer);
    }
  }

  #failed(error: unknown): void {
    this.#restUntil = Date.now() + REST_MS;
    this.#lost(error);
  }

  #lost(error: unknown): void {
    if (this.#away) return;
    this.#away = true;
    const reason = error instanceof Error ? error.message : String(error);
    this.#log.warn('Redis is away; the registry goes on without it', { reason });
  }

  #back(): void {
    if (!this.#away) return;
    this.#away = false;
    this.#log.info('Redis is back');
  }
}

async function loadClient(): Promise<typeof IoRedis> {
  try {
    return await import('ioredis');
  } catch (cause) {
    throw new Error(
      'the setting redis needs the package ioredis, which is not installed: run `npm install ioredis`, or take the setting out; Redis is never needed',
      { cause },
    );
  }
}

function optionsOf(config: RedisConfig) {
  const { username, password, db, dialSeconds, tls } = config;
  return {
    db,
    lazyConnect: true,
    // A command is never kept for later: whoever asks now goes on now.
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    connectTimeout: dialSeconds * 1000 || 1000,
    retryStrategy: (times: number) => Math.min(FIRST_PAUSE_MS * times, LAST_PAUSE_MS),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(tls && {
      tls: {
        ...(tls.certificate !== undefined && { cert: readFileSync(tls.certificate) }),
        ...(tls.key !== undefined && { key: readFileSync(tls.key) }),
        ...(tls.rootCas.length > 0 && { ca: tls.rootCas.map((path) => readFileSync(path)) }),
      },
    }),
  };
}

/** TLS holds for sentinels and master alike. */
function sentinelOptionsOf(config: RedisConfig, tls: ReturnType<typeof optionsOf>['tls']) {
  const { sentinelUsername, sentinelPassword } = config;
  return {
    ...(sentinelUsername !== undefined && { sentinelUsername }),
    ...(sentinelPassword !== undefined && { sentinelPassword }),
    ...(tls && { enableTLSForSentinelMode: true, sentinelTLS: tls }),
  };
}

/** `host:port`, `[address]:port` or a host alone. */
function addressOf(text: string): { host: string; port: number } {
  const [, bracketed, host, port] = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?$/.exec(text) ?? [];
  return { host: bracketed ?? (host || '127.0.0.1'), port: Number(port ?? 6379) };
}
