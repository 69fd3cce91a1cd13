import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { EventSink, Logger, RegistryEvent, UrlPolicy } from '../../protocols/registry.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import type { EndpointConfig, NotificationsConfig } from '../config/services.ts';
import { DeadLetters, rememberEndpoint } from './dead-letters.ts';
import { type EnvelopeOptions, toEnvelopeEvent } from './envelope.ts';
import { endpointKey } from './layout.ts';
import { EventQueue } from './queue.ts';
import { type EndpointCounts, EventSender } from './sender.ts';

/** Events that may wait for one endpoint, and dead letters that are kept. */
export const MAX_EVENTS = 100_000;
const GIVE_UP_MS = 24 * 3600 * 1000;

export interface EventSinkOptions {
  urls?: UrlPolicy;
  /** `host:port` of this node, as it stands in `source.addr`. Default: the host's name. */
  address?: string;
  /** Bound of each endpoint's queue, and of its dead letters. */
  maxEvents?: number;
  /** Milliseconds after which an event that never got through becomes a dead letter. Default 24 h. */
  giveUpMs?: number;
}

/** What is known of one endpoint, as distribution's expvar shows it (v2.md 5.4). */
export interface EndpointMetrics extends EndpointCounts {
  name: string;
  url: string;
  /** Events that wait in the store, by all processes. */
  pending: number;
  /** Dead letters in the store. */
  deadLetters: number;
}

export interface NotificationSink extends EventSink {
  readonly active: boolean;
  stored(): Promise<void> | undefined;
  /** Begins to deliver, also what an earlier process left behind. */
  start(): Promise<void>;
  /** Writes what is still in memory and stops to deliver. */
  close(): Promise<void>;
  metrics(): Promise<EndpointMetrics[]>;
}

/** The sink that sends events to the configured endpoints (v2.md 5.4). */
export function createEventSink(
  config: NotificationsConfig,
  driver: StorageDriver,
  log: Logger,
  options: EventSinkOptions = {},
): NotificationSink {
  const envelope: EnvelopeOptions = {
    urls: options.urls ?? { host: undefined, prefix: '', relative: false },
    includeReferences: config.includeReferences,
    source: { addr: options.address ?? hostname(), instanceID: randomUUID() },
  };
  const endpoints = config.endpoints.map((each) => openEndpoint(each, driver, log, options));
  return {
    active: endpoints.length > 0,
    emit: (event) => emit(event, endpoints, envelope),
    stored: () => allStored(endpoints),
    async start() {
      for (const { config, sender } of endpoints) {
        await rememberEndpoint(driver, config.name);
        sender.start();
      }
    },
    async close() {
      await Promise.all(
        endpoints.map(async ({ queue, sender }) => {
          await queue.close();
          await sender.close();
        }),
      );
    },
    metrics: () => Promise.all(endpoints.map(metricsOf)),
  };
}

interface Endpoint {
  config: EndpointConfig;
  queue: EventQueue;
  dead: DeadLetters;
  sender: EventSender;
  counts: EndpointCounts;
  ignoredMediaTypes: ReadonlySet<string>;
  ignoredActions: ReadonlySet<string>;
}

function openEndpoint(
  config: EndpointConfig,
  driver: StorageDriver,
  log: Logger,
  { maxEvents = MAX_EVENTS, giveUpMs = GIVE_UP_MS }: EventSinkOptions,
): Endpoint {
  const key = endpointKey(config.name);
  const dead = new DeadLetters(key, driver, maxEvents);
  const queue = new EventQueue(key, driver, dead, log, maxEvents);
  const counts = { events: 0, successes: 0, failures: 0, errors: 0, dead: 0, statuses: {} };
  const sender = new EventSender({ config, key, queue, dead, driver, log, counts, giveUpMs });
  return {
    config,
    queue,
    dead,
    sender,
    counts,
    ignoredMediaTypes: new Set(config.ignoredMediaTypes),
    ignoredActions: new Set(config.ignoredActions),
  };
}

function emit(event: RegistryEvent, endpoints: Endpoint[], envelope: EnvelopeOptions): void {
  let line: string | undefined;
  for (const { queue, counts, ignoredActions, ignoredMediaTypes } of endpoints) {
    if (ignoredActions.has(event.action)) continue;
    if (ignoredMediaTypes.has(event.target.mediaType ?? '')) continue;
    line ??= JSON.stringify(toEnvelopeEvent(event, envelope));
    queue.add(line, event.action !== 'pull');
    counts.events += 1;
  }
}

function allStored(endpoints: Endpoint[]): Promise<void> | undefined {
  const waits = endpoints.flatMap(({ queue }) => queue.stored() ?? []);
  return waits.length === 0 ? undefined : Promise.all(waits).then(() => undefined);
}

async function metricsOf({ config, queue, dead, counts }: Endpoint): Promise<EndpointMetrics> {
  const [pending, deadLetters] = await Promise.all([queue.pending(), dead.count()]);
  return { name: config.name, url: withoutPassword(config.url), ...counts, pending, deadLetters };
}

function withoutPassword(text: string): string {
  const url = new URL(text);
  url.username = '';
  url.password = '';
  return url.href;
}
