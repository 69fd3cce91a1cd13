import { hostname } from 'node:os';
import type { Middleware } from 'koa';
import type { EventSink, Logger } from '../protocols/registry.ts';
import type { ContentStore } from '../storage/content-store.ts';
import type { StorageDriver } from '../storage/driver.ts';
import { instrumented } from '../storage/drivers/instrumented.ts';
import { type AuditLog, createAuditLog } from './audit.ts';
import type { Config } from './config/config.ts';
import { createEventSink, type NotificationSink } from './events/event-sink.ts';
import { fanOut } from './events/fan-out.ts';
import type { Onlooker } from './exchange.ts';
import type { Guard } from './guard.ts';
import { Health } from './health.ts';
import { healthEndpoints, refuseWhenIll } from './health-endpoints.ts';
import { limitRequests, limitUploads } from './limits.ts';
import { showAddress } from './listen.ts';
import { observeEvents } from './metrics/event-metrics.ts';
import { HttpMetrics } from './metrics/http-metrics.ts';
import { observeMirror } from './metrics/mirror-metrics.ts';
import { observeProcess } from './metrics/process-metrics.ts';
import { MetricRegistry } from './metrics/registry.ts';
import { observeCache, observeWrites, storageObservers } from './metrics/storage-metrics.ts';
import type { WorkerReport } from './metrics/worker-board.ts';
import type { MirrorCounts } from './mirror/mirror-counts.ts';
import type { Peers } from './peers.ts';
import { openTracing, type Tracing } from './tracing.ts';

/** The eyes of one serving process: metrics, health, events, audit, traces, and the limits that guard it. */
export class Observability {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #tracing: Tracing | undefined;
  readonly #peers: Peers;
  readonly #metrics = new MetricRegistry();
  readonly #http: HttpMetrics | undefined;
  readonly #audit: AuditLog;
  #watching: { health: Health; notifications: NotificationSink } | undefined;

  private constructor(config: Config, log: Logger, peers: Peers, tracing: Tracing | undefined) {
    this.#peers = peers;
    this.#config = config;
    this.#log = log;
    this.#tracing = tracing;
    this.#audit = createAuditLog(config.log.audit);
    if (config.http.debug?.prometheus) {
      this.#http = new HttpMetrics(this.#metrics, config.http.urls.prefix);
      observeProcess(this.#metrics);
    }
  }

  /** Throws when the audit log can't be opened. */
  static async open(config: Config, log: Logger, peers: Peers): Promise<Observability> {
    return new Observability(config, log, peers, await openTracing(config.http.urls.prefix));
  }

  /** The same driver, observed by whoever wants to know. */
  readonly driver = (driver: StorageDriver): StorageDriver => {
    const timed =
      this.#http === undefined
        ? driver
        : instrumented(driver, storageObservers(this.#metrics, driver.name));
    if (this.#tracing === undefined) return timed;
    return instrumented(timed, this.#tracing.storageObservers(driver.name));
  };

  /** Begins to watch the store and to deliver events. Gives where the protocols send theirs. */
  async start(content: ContentStore, mirror?: MirrorCounts): Promise<EventSink> {
    const { notifications: settings, health: checks, http, storage } = this.#config;
    const notifications = createEventSink(settings, content.driver, this.#log, {
      urls: http.urls,
      address:
        http.listen.kind === 'tcp' ? `${hostname()}:${http.listen.port}` : showAddress(http.listen),
    });
    const health = new Health(checks, content.driver, this.#log, { readOnly: storage.readOnly });
    if (this.#http !== undefined) {
      observeEvents(this.#metrics, notifications);
      observeCache(this.#metrics, () => content.cacheCounts);
      if (mirror !== undefined) observeMirror(this.#metrics, mirror);
      observeWrites(this.#metrics, () => health.unwritable);
    }
    await notifications.start();
    await health.start();
    this.#watching = { health, notifications };
    return fanOut([notifications, this.#audit], this.#log);
  }

  /** Middlewares for the whole application. */
  get endpoints(): Middleware[] {
    const traces = this.#tracing === undefined ? [] : [this.#tracing.middleware];
    return this.#watching === undefined
      ? traces
      : [...traces, healthEndpoints(this.#watching.health)];
  }

  /** What stands before every protocol. */
  get guards(): Guard[] {
    const { limits, urls } = this.#config.http;
    return [
      ...(this.#watching === undefined ? [] : [refuseWhenIll(this.#watching.health)]),
      ...(limits.requestsPerMinute > 0
        ? [limitRequests(limits.requestsPerMinute, this.#peers)]
        : []),
      ...(limits.concurrentUploads > 0
        ? [limitUploads(limits.concurrentUploads, { prefix: urls.prefix })]
        : []),
    ];
  }

  /** What has to see every request. */
  get onlookers(): Onlooker[] {
    return this.#http === undefined ? [] : [this.#http.onlooker];
  }

  /** Whether each request has to go by way of the middlewares. */
  get traces(): boolean {
    return this.#tracing !== undefined;
  }

  async report(): Promise<WorkerReport> {
    const watching = this.#watching;
    return {
      metrics: await this.#metrics.snapshot(),
      failing: watching?.health.failing ?? {},
      vars: {
        notifications: { endpoints: (await watching?.notifications.metrics()) ?? [] },
        storage: { unwritable: watching?.health.unwritable ?? null },
      },
    };
  }

  reopenLogs(): void {
    this.#audit.reopen();
  }

  /** To be called when no request runs any more, and before the store is closed. */
  async close(): Promise<void> {
    this.#watching?.health.close();
    await this.#watching?.notifications.close();
    this.#audit.flush();
  }
}
