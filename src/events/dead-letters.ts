import type { StorageDriver } from '../../storage/driver.ts';
import { ifFound } from '../../storage/errors.ts';
import {
  deadRoot,
  deadSegment,
  endpointKey,
  eventsRoot,
  namePath,
  parseSegmentName,
  queueRoot,
  queueSegment,
  SegmentNamer,
  shrunkSegment,
} from './layout.ts';

/** An event that was given up. */
export interface DeadLetter {
  reason: string;
  /** When it was given up, RFC 3339. */
  at: string;
  /** The event in distribution's form. */
  event: unknown;
}

/** Events of one endpoint that were given up. The oldest go for good when there are more than `maxEvents`. */
export class DeadLetters {
  readonly #key: string;
  readonly #driver: StorageDriver;
  readonly #maxEvents: number;

  constructor(key: string, driver: StorageDriver, maxEvents: number) {
    this.#key = key;
    this.#driver = driver;
    this.#maxEvents = maxEvents;
  }

  /** Keeps events, given as JSON, under the name of the segment they stood in. Gives how many older ones went. */
  async add(segment: string, lines: readonly string[], reason: string): Promise<number> {
    const at = new Date().toISOString();
    const letters = lines.map((line) =>
      JSON.stringify({ reason, at, event: parseOrText(line) } satisfies DeadLetter),
    );
    await this.#driver.put(deadSegment(this.#key, segment), `${letters.join('\n')}\n`);
    return this.#trim();
  }

  async count(): Promise<number> {
    return countEvents(await segmentsOf(this.#driver, deadRoot(this.#key)));
  }

  /** The letters, oldest first. */
  async *letters(): AsyncIterable<{ segment: string; letters: DeadLetter[] }> {
    for (const segment of await segmentsOf(this.#driver, deadRoot(this.#key))) {
      const content = await ifFound(this.#driver.get(deadSegment(this.#key, segment)));
      if (content === undefined) continue;
      const lines = content.toString().split('\n').filter(Boolean);
      yield { segment, letters: lines.map((line) => JSON.parse(line) as DeadLetter) };
    }
  }

  /** Puts every letter that `wanted` accepts at the end of the queue again. Gives how many. */
  async replay(wanted: (letter: DeadLetter) => boolean = () => true): Promise<number> {
    const namer = new SegmentNamer();
    let replayed = 0;
    for await (const { segment, letters } of this.letters()) {
      const again = letters.filter(wanted);
      if (again.length === 0) continue;
      const lines = again.map(({ event }) => JSON.stringify(event));
      // Queued before it is taken from here: a crash in between sends twice, and loses nothing.
      await this.#driver.put(
        queueSegment(this.#key, namer.next(again.length)),
        `${lines.join('\n')}\n`,
      );
      await this.#keep(
        segment,
        letters.filter((letter) => !again.includes(letter)),
      );
      replayed += again.length;
    }
    return replayed;
  }

  async #keep(segment: string, rest: DeadLetter[]): Promise<void> {
    const lines = rest.map((letter) => JSON.stringify(letter));
    const name = shrunkSegment(segment, rest.length);
    if (rest.length > 0)
      await this.#driver.put(deadSegment(this.#key, name), `${lines.join('\n')}\n`);
    if (name !== segment) await this.#driver.delete(deadSegment(this.#key, segment));
  }

  async #trim(): Promise<number> {
    const segments = await segmentsOf(this.#driver, deadRoot(this.#key));
    let gone = 0;
    for (let total = countEvents(segments); total > this.#maxEvents && segments.length > 1; ) {
      const oldest = segments.shift() ?? '';
      const count = countEvents([oldest]);
      await this.#driver.delete(deadSegment(this.#key, oldest));
      total -= count;
      gone += count;
    }
    return gone;
  }
}

/** What waits for one endpoint. */
export interface EndpointBacklog {
  key: string;
  /** The endpoint's name in the configuration under which it was made. */
  name: string;
  pending: number;
  dead: number;
  /** Milliseconds since the epoch of the oldest event that waits; undefined when none does. */
  oldest: number | undefined;
}

/** What waits in the store, for every endpoint that ever had an event, configured still or not. */
export async function backlogs(driver: StorageDriver): Promise<EndpointBacklog[]> {
  const found: EndpointBacklog[] = [];
  for await (const key of driver.list(eventsRoot)) {
    const name = await ifFound(driver.get(namePath(key)));
    if (name === undefined) continue;
    const queue = await segmentsOf(driver, queueRoot(key));
    found.push({
      key,
      name: name.toString(),
      pending: countEvents(queue),
      dead: countEvents(await segmentsOf(driver, deadRoot(key))),
      oldest: queue[0] === undefined ? undefined : parseSegmentName(queue[0])?.time,
    });
  }
  return found;
}

/** Notes that the endpoint exists, so that what waits for it can be listed by its name. */
export async function rememberEndpoint(driver: StorageDriver, name: string): Promise<void> {
  const path = namePath(endpointKey(name));
  if ((await ifFound(driver.get(path))) === undefined) await driver.put(path, name);
}

async function segmentsOf(driver: StorageDriver, root: string): Promise<string[]> {
  const names: string[] = [];
  for await (const name of driver.list(root)) if (parseSegmentName(name)) names.push(name);
  return names;
}

function countEvents(segments: readonly string[]): number {
  return segments.reduce((sum, name) => sum + (parseSegmentName(name)?.count ?? 0), 0);
}

function parseOrText(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return line;
  }
}
