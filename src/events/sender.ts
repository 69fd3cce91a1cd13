import { setTimeout } from 'node:timers/promises';
import type { Logger } from '../../protocols/registry.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import { type Lease, takeLease } from '../../storage/lease.ts';
import type { EndpointConfig } from '../config/services.ts';
import type { DeadLetters } from './dead-letters.ts';
import { leasePath, parseSegmentName, SegmentNamer } from './layout.ts';
import type { EventQueue } from './queue.ts';
import { type Attempt, Webhook } from './webhook.ts';

/** Looks at the queue for what other processes wrote: a look at a local directory is cheap, a listing is not. */
const LOCAL_LOOK_MS = 100;
const REMOTE_LOOK_MS = 1000;
const LEASE_LOOK_MS = 1000;
/** Delay before the first repetition; doubles up to the configured back-off. */
const FIRST_RETRY_MS = 100;
/** The request that runs when the registry stops may still take so long. */
const LAST_REQUEST_MS = 2000;
/** Answers that blame the event itself: repeating it for hours would only hold up those behind it. */
const REFUSALS = new Set([400, 413, 415, 422]);

/** What happened at one endpoint since this process began. */
export interface EndpointCounts {
  /** Events that this process emitted for it. */
  events: number;
  successes: number;
  /** Attempts that were answered with a failure. */
  failures: number;
  /** Attempts without an answer. */
  errors: number;
  /** Events that became dead letters. */
  dead: number;
  /** Attempts by status. */
  statuses: Record<string, number>;
}

export interface SenderParts {
  config: EndpointConfig;
  key: string;
  queue: EventQueue;
  dead: DeadLetters;
  driver: StorageDriver;
  log: Logger;
  counts: EndpointCounts;
  /** Milliseconds after which an event that never got through is given up. */
  giveUpMs: number;
}

/**
 * Delivers the events of one endpoint in order, one at a time. Of all workers and nodes one does so, which a lease in
 * the store decides; when it dies, another goes on where it was.
 */
export class EventSender {
  readonly #parts: SenderParts;
  readonly #webhook: Webhook;
  readonly #stop = new AbortController();
  #wake: (() => void) | undefined;
  #woken = false;
  #failuresInRow = 0;
  #running: Promise<void> = Promise.resolve();

  constructor(parts: SenderParts) {
    this.#parts = parts;
    this.#webhook = new Webhook(parts.config);
    parts.queue.onWritten = () => this.wake();
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Something new waits. */
  wake(): void {
    this.#woken = true;
    this.#wake?.();
  }

  /** Lets a running request end, within bounds, and hands over to others. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#wake?.();
    await Promise.race([this.#running, setTimeout(LAST_REQUEST_MS, undefined, { ref: false })]);
    this.#webhook.close();
    await this.#running;
  }

  get #stopping(): boolean {
    return this.#stop.signal.aborted;
  }

  async #run(): Promise<void> {
    const { driver, key, log, config } = this.#parts;
    while (!this.#stopping) {
      let lease: Lease | undefined;
      try {
        lease = await takeLease(driver, leasePath(key));
        if (lease !== undefined) await this.#deliverAll();
      } catch (error) {
        log.error('events not delivered for now', { endpoint: config.name, error });
      }
      await lease?.release().catch((error: unknown) => {
        log.warn('lease not released', { endpoint: config.name, error });
      });
      await this.#pause(LEASE_LOOK_MS);
    }
  }

  /** Delivers what there is and what comes, until the registry stops. */
  async #deliverAll(): Promise<void> {
    const { queue } = this.#parts;
    const lookMs = queue.stamp() === undefined ? REMOTE_LOOK_MS : LOCAL_LOOK_MS;
    while (!this.#stopping) {
      this.#woken = false;
      const stamp = queue.stamp();
      const segments = await queue.segments();
      for (const segment of segments) {
        await this.#deliverSegment(segment);
        if (this.#stopping) return;
      }
      if (segments.length > 0) continue;
      while (!this.#stopping && !this.#woken) {
        await this.#sleep(lookMs);
        if (stamp === undefined || queue.stamp() !== stamp) break;
      }
    }
  }

  async #deliverSegment(name: string): Promise<void> {
    const { queue, dead, config, counts, log } = this.#parts;
    const lines = (await queue.read(name)) ?? [];
    let segment = name;
    for (let next = 0; next < lines.length; ) {
      const line = lines[next] ?? '';
      const attempt = await this.#attempt(line);
      if (!attempt.ok && !this.#isHopeless(attempt, segment)) {
        // What is through already is noted before a pause, in which this process may be killed.
        lines.splice(0, next);
        if (next > 0) segment = await queue.keep(segment, lines);
        next = 0;
        await this.#pause(this.#retryDelay());
        if (this.#stopping) return;
        continue;
      }
      if (!attempt.ok) {
        await dead.add(deadName(segment), [line], attempt.reason);
        counts.dead += 1;
        this.#failuresInRow = 0;
        log.error('event became a dead letter', { endpoint: config.name, reason: attempt.reason });
      }
      next += 1;
      if (this.#stopping) {
        await queue.keep(segment, lines.slice(next));
        return;
      }
    }
    await queue.keep(segment, []);
  }

  async #attempt(line: string): Promise<Attempt> {
    const { counts, config, log } = this.#parts;
    const attempt = await this.#webhook.post(line);
    if (attempt.status !== undefined) {
      const status = String(attempt.status);
      counts.statuses[status] = (counts.statuses[status] ?? 0) + 1;
    }
    if (attempt.ok) {
      counts.successes += 1;
      if (this.#failuresInRow >= config.threshold)
        log.info('endpoint takes events again', { endpoint: config.name });
      this.#failuresInRow = 0;
      return attempt;
    }
    if (attempt.status === undefined) counts.errors += 1;
    else counts.failures += 1;
    this.#failuresInRow += 1;
    if (this.#failuresInRow === config.threshold)
      log.warn('endpoint fails, its events wait', {
        endpoint: config.name,
        reason: attempt.reason,
      });
    return attempt;
  }

  /** Whether to go on to the next event: refused as such, or too old, and tried often enough. */
  #isHopeless({ status }: Attempt, segment: string): boolean {
    const { config, giveUpMs } = this.#parts;
    if (this.#failuresInRow < Math.max(1, config.threshold)) return false;
    const age = Date.now() - (parseSegmentName(segment)?.time ?? 0);
    return (status !== undefined && REFUSALS.has(status)) || age > giveUpMs;
  }

  #retryDelay(): number {
    const { threshold, backoffSeconds } = this.#parts.config;
    const pause = backoffSeconds * 1000;
    if (this.#failuresInRow >= threshold) return pause;
    return Math.min(pause, FIRST_RETRY_MS * 2 ** (this.#failuresInRow - 1));
  }

  /** Sleeps, whatever is written meanwhile; only the end of the registry wakes. */
  async #pause(ms: number): Promise<void> {
    const { signal } = this.#stop;
    await setTimeout(ms, undefined, { signal, ref: false }).catch(() => undefined);
  }

  /** Sleeps until this process writes something, or the time is over. */
  async #sleep(ms: number): Promise<void> {
    const waking = new AbortController();
    this.#wake = () => waking.abort();
    await setTimeout(ms, undefined, { signal: waking.signal, ref: false }).catch(() => undefined);
    this.#wake = undefined;
  }
}

/** Segments lose their events one by one, so each dead letter gets a name of its own, in the order of time. */
const namer = new SegmentNamer();

function deadName(segment: string): string {
  return namer.next(1, parseSegmentName(segment)?.time);
}
