import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../../protocols/registry.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import { ifFound } from '../../storage/errors.ts';
import type { DeadLetters } from './dead-letters.ts';
import {
  parseSegmentName,
  queueRoot,
  queueSegment,
  SegmentNamer,
  shrunkSegment,
} from './layout.ts';

/** Events and bytes that are written as one segment at most. */
const SEGMENT_EVENTS = 500;
const SEGMENT_BYTES = 1024 * 1024;
/** Events that are held in memory while the store refuses them. */
const MAX_UNWRITTEN = 10_000;
const RETRY_MS = 1000;
/** How long a count of the whole queue is believed: other workers write and remove, too. */
const COUNT_MS = 2000;

interface Waiting {
  line: string;
  durable: boolean;
}

/**
 * The events that wait for one endpoint, in the store. Any number of processes add; one reads and removes. Events that
 * come while a segment is being written go into the next one together, so that a busy registry writes few files.
 */
export class EventQueue {
  readonly #key: string;
  readonly #driver: StorageDriver;
  readonly #dead: DeadLetters;
  readonly #log: Logger;
  readonly #maxEvents: number;
  readonly #namer = new SegmentNamer();
  #waiting: Waiting[] = [];
  /** How many events were ever added, and of how many the first attempt to write them is over. */
  #added = 0;
  #settled = 0;
  #waiters: { until: number; resolve: () => void }[] = [];
  #writing: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #count = { events: 0, at: Number.NEGATIVE_INFINITY, exact: false };
  /** Events that this process ever wrote. */
  #written = 0;
  /** Called when a segment was written. */
  onWritten: () => void = () => {};
  /** Events that this process could keep nowhere. */
  lost = 0;

  constructor(
    key: string,
    driver: StorageDriver,
    dead: DeadLetters,
    log: Logger,
    maxEvents: number,
  ) {
    this.#key = key;
    this.#driver = driver;
    this.#dead = dead;
    this.#log = log;
    this.#maxEvents = maxEvents;
  }

  /** Takes one event as JSON. `durable` for what must outlive a power cut. */
  add(line: string, durable: boolean): void {
    if (this.#waiting.length >= MAX_UNWRITTEN) {
      this.lost += 1;
      this.#log.error('event lost, the store takes none', { endpoint: this.#key, lost: this.lost });
      return;
    }
    this.#waiting.push({ line, durable });
    this.#added += 1;
    this.#schedule();
  }

  /**
   * Resolves when the store has what was added so far, or has refused it once: an event that the store refuses stays in
   * memory and is tried again, but no answer waits for that. Undefined when there is nothing to wait for.
   */
  stored(): Promise<void> | undefined {
    const until = this.#added;
    if (this.#settled >= until) return undefined;
    return new Promise((resolve) => this.#waiters.push({ until, resolve }));
  }

  /** Names of the segments that wait, oldest first. */
  async segments(): Promise<string[]> {
    const before = this.#written;
    const names: string[] = [];
    for await (const name of this.#driver.list(queueRoot(this.#key))) {
      if (parseSegmentName(name) !== undefined) names.push(name);
    }
    const listed = names.reduce((sum, name) => sum + countOf(name), 0);
    // What was written during the listing may stand in it or not; rather too many than too few.
    const during = this.#written - before;
    this.#count = { events: listed + during, at: Date.now(), exact: during === 0 };
    return names;
  }

  /** The events of a segment as JSON; undefined when it is gone. */
  async read(segment: string): Promise<string[] | undefined> {
    const content = await ifFound(this.#driver.get(queueSegment(this.#key, segment)));
    return content?.toString().split('\n').filter(Boolean);
  }

  /** Keeps only `rest` of a segment. Gives the name that it has now. */
  async keep(segment: string, rest: readonly string[]): Promise<string> {
    const name = shrunkSegment(segment, rest.length);
    if (name === segment) return segment;
    // The rest is written first: a crash in between sends twice, and loses nothing.
    if (rest.length > 0)
      await this.#driver.put(queueSegment(this.#key, name), `${rest.join('\n')}\n`);
    await this.#driver.delete(queueSegment(this.#key, segment), { durable: false });
    this.#count.events -= countOf(segment) - rest.length;
    return name;
  }

  /** Something that differs when the directory may have changed; undefined where looking is as dear as listing. */
  stamp(): string | undefined {
    const stamp = this.#driver.local?.stamp(queueRoot(this.#key));
    if (this.#driver.local === undefined) return undefined;
    return stamp === undefined ? 'none' : `${stamp.modified} ${stamp.inode}`;
  }

  /** Events that wait, by all processes; a few seconds old at most. */
  async pending(): Promise<number> {
    if (Date.now() - this.#count.at > COUNT_MS) await this.segments();
    return this.#count.events + this.#waiting.length;
  }

  /** Writes what is held in memory, if the store takes it. */
  async close(): Promise<void> {
    clearTimeout(this.#retry);
    await this.stored();
    await this.#writing;
    if (this.#waiting.length > 0) await this.#writeAll();
    clearTimeout(this.#retry);
    if (this.#waiting.length > 0)
      this.#log.error('events lost, the store takes none', {
        endpoint: this.#key,
        count: this.#waiting.length,
      });
  }

  #schedule(): void {
    if (this.#writing !== undefined || this.#retry !== undefined) return;
    this.#writing = new Promise((resolve) => setImmediate(resolve)).then(() => this.#writeAll());
  }

  async #writeAll(): Promise<void> {
    try {
      while (this.#waiting.length > 0) await this.#writeSegment();
    } catch (error) {
      this.#log.error('events not stored, they are tried again', {
        endpoint: this.#key,
        waiting: this.#waiting.length,
        error,
      });
      this.#settle(this.#added);
      this.#retry = setTimeout(() => {
        this.#retry = undefined;
        this.#schedule();
      }, RETRY_MS);
      this.#retry.unref();
    } finally {
      this.#writing = undefined;
    }
  }

  async #writeSegment(): Promise<void> {
    const batch = this.#takeBatch();
    const lines = batch.map(({ line }) => line);
    try {
      const name = this.#namer.next(batch.length);
      if (await this.#isFullFor(batch.length)) {
        const gone = await this.#dead.add(name, lines, 'the queue is full');
        this.#log.error('event queue full, events became dead letters', {
          endpoint: this.#key,
          count: batch.length,
          oldDeadLettersDropped: gone,
        });
      } else {
        const durable = batch.some((each) => each.durable);
        const content = `${lines.join('\n')}\n`;
        await this.#driver.put(queueSegment(this.#key, name), content, { durable });
        this.#count.events += batch.length;
        this.#written += batch.length;
        if (durable) await laterThan(name);
      }
    } catch (error) {
      this.#waiting.unshift(...batch);
      throw error;
    }
    this.#settle(this.#added - this.#waiting.length);
    this.onWritten();
  }

  #takeBatch(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const { line } of this.#waiting) {
      bytes += line.length;
      if (count > 0 && (count === SEGMENT_EVENTS || bytes > SEGMENT_BYTES)) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  #settle(upTo: number): void {
    this.#settled = Math.max(this.#settled, upTo);
    const done = this.#waiters.filter(({ until }) => until <= this.#settled);
    this.#waiters = this.#waiters.filter(({ until }) => until > this.#settled);
    for (const { resolve } of done) resolve();
  }

  async #isFullFor(more: number): Promise<boolean> {
    const full = () => this.#count.events + more > this.#maxEvents;
    const stale = Date.now() - this.#count.at > COUNT_MS;
    // Only this method's caller writes, so a listing made here is exact.
    if (stale || (full() && !this.#count.exact)) await this.segments();
    return full();
  }
}

/**
 * Waits for the next millisecond, if need be. Whoever acts upon an answer, on whatever worker, then gets a later name
 * for the event of that.
 */
async function laterThan(segment: string): Promise<void> {
  const time = parseSegmentName(segment)?.time ?? 0;
  while (Date.now() <= time && Date.now() > time - 10) await sleep(1);
}

function countOf(segment: string): number {
  return parseSegmentName(segment)?.count ?? 0;
}
