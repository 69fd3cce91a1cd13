import type { Counts, CountTopic, Peers } from '../peers.ts';

/** Requests are gathered, so that a busy worker sends few messages; what an attacker gains by a guess is told at once. */
const GATHER_MS: Record<CountTopic, number> = { requests: 20, failures: 0 };

/** The other workers as one of them sees them: through the master. */
export class WorkerPeers implements Peers {
  readonly #send: (topic: CountTopic, counts: Counts) => void;
  readonly #gathered = new Map<CountTopic, Map<string, number>>();
  readonly #listeners = new Map<CountTopic, (key: string, amount: number) => void>();
  /** What came before anybody listened. */
  readonly #early: [CountTopic, Counts][] = [];

  /** `send` tells the master. */
  constructor(send: (topic: CountTopic, counts: Counts) => void) {
    this.#send = send;
  }

  count(topic: CountTopic, key: string): void {
    const gathered = this.#gathered.get(topic);
    if (gathered === undefined) {
      this.#gathered.set(topic, new Map([[key, 1]]));
      setTimeout(() => this.#flush(topic), GATHER_MS[topic]).unref();
    } else gathered.set(key, (gathered.get(key) ?? 0) + 1);
  }

  listen(topic: CountTopic, heard: (key: string, amount: number) => void): void {
    this.#listeners.set(topic, heard);
    for (const [early, counts] of this.#early) if (early === topic) this.heard(topic, counts);
  }

  /** To be called with what the master passes on. */
  heard(topic: CountTopic, counts: Counts): void {
    const listener = this.#listeners.get(topic);
    if (listener === undefined) this.#early.push([topic, counts]);
    else for (const [key, amount] of counts) listener(key, amount);
  }

  #flush(topic: CountTopic): void {
    const gathered = this.#gathered.get(topic);
    this.#gathered.delete(topic);
    if (gathered !== undefined) this.#send(topic, [...gathered]);
  }
}
