import { createHash, randomBytes } from 'node:crypto';
import { storeRecord } from '../../storage/paths.ts';

/*
 * Events that wait for their endpoints, in the store, so that every worker and node sees the same ones:
 *
 *   docker/registry/isthmus/events/<endpoint>/
 *     name               the endpoint's name in the configuration
 *     lease              who delivers now
 *     queue/<segment>    events that wait: a line of JSON for each
 *     dead/<segment>     events that were given up: { reason, at, event } in each line
 *
 * <endpoint> is the name made safe; <segment> is TIME-SEQUENCE-WRITER-COUNT, so that byte order is the order of time
 * and a listing alone says how many events there are.
 */

/** Where the endpoints' directories lie. */
export const eventsRoot = storeRecord('events');

const directory = (key: string): string => `${eventsRoot}/${key}`;
export const namePath = (key: string): string => `${directory(key)}/name`;
export const leasePath = (key: string): string => `${directory(key)}/lease`;
export const queueRoot = (key: string): string => `${directory(key)}/queue`;
export const queueSegment = (key: string, segment: string): string =>
  `${queueRoot(key)}/${segment}`;
export const deadRoot = (key: string): string => `${directory(key)}/dead`;
export const deadSegment = (key: string, segment: string): string => `${deadRoot(key)}/${segment}`;

/** The directory name of an endpoint: readable, and different for different names. */
export function endpointKey(name: string): string {
  const readable = name.replace(/[^A-Za-z0-9_-]+/g, '-').slice(0, 40);
  return `${readable}.${createHash('sha256').update(name).digest('hex').slice(0, 8)}`;
}

export interface SegmentName {
  /** Milliseconds since the epoch, of the first event. */
  time: number;
  /** Events in it. */
  count: number;
}

/** Makes names of segments that sort by time, also within a millisecond and when the clock is set back. */
export class SegmentNamer {
  readonly #writer = randomBytes(4).toString('hex');
  #lastTime = 0;
  #sequence = 0;

  next(count: number, now = Date.now()): string {
    this.#sequence = now > this.#lastTime ? 0 : this.#sequence + 1;
    this.#lastTime = Math.max(now, this.#lastTime);
    const time = this.#lastTime.toString(36).padStart(9, '0');
    return `${time}-${this.#sequence.toString(36).padStart(6, '0')}-${this.#writer}-${count}`;
  }
}

/** What a segment's name says; undefined for a name of another kind. */
export function parseSegmentName(name: string): SegmentName | undefined {
  const match = /^([0-9a-z]{9})-[0-9a-z]{6}-[0-9a-f]{8}-(\d+)$/.exec(name);
  if (match === null) return undefined;
  return { time: Number.parseInt(match[1] ?? '', 36), count: Number(match[2]) };
}

/** The name of a segment of which only `count` events are left. */
export function shrunkSegment(name: string, count: number): string {
  return name.replace(/\d+$/, String(count));
}
