/** Most urgent first: a client waits for this piece, or for a list that would be longer with it, or nobody does. */
const URGENCIES = ['waiting', 'listed', 'background'] as const;

/** Who waits for a piece of work. */
export type Urgency = (typeof URGENCIES)[number];

interface Piece<T> {
  urgency: Urgency;
  start(): void;
  result: Promise<T>;
}

/**
 * Does each piece of work once, however many ask for it, a few at a time. What is urgent never stands behind what is
 * less so: it has places of its own, and while any of it is under way nothing less urgent begins.
 */
export class WorkQueue<T> {
  readonly #places: Record<Urgency, number>;
  readonly #running: Record<Urgency, number> = { waiting: 0, listed: 0, background: 0 };
  readonly #queued = new Map<string, Piece<T>>();
  readonly #started = new Map<string, Promise<T>>();

  /** `places`: how many pieces of each kind run at the same time. */
  constructor(places: Record<Urgency, number>) {
    this.#places = places;
  }

  /** The result of `work`, or of the work that runs or stands under this key already. */
  run(key: string, urgency: Urgency, work: () => Promise<T>): Promise<T> {
    const started = this.#started.get(key);
    if (started !== undefined) return started;
    const queued = this.#queued.get(key);
    if (queued) {
      if (isMoreUrgent(urgency, queued.urgency)) queued.urgency = urgency;
      this.#pump();
      return queued.result;
    }
    const { promise, resolve } = deferred<T>();
    const piece: Piece<T> = {
      urgency,
      result: promise,
      start: () => resolve(this.#run(key, piece.urgency, work)),
    };
    this.#queued.set(key, piece);
    this.#pump();
    return promise;
  }

  async #run(key: string, urgency: Urgency, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } finally {
      this.#started.delete(key);
      this.#running[urgency] -= 1;
      this.#pump();
    }
  }

  #pump(): void {
    for (const urgency of URGENCIES) {
      this.#startAll(urgency);
      if (this.#running[urgency] > 0) return;
    }
  }

  #startAll(urgency: Urgency): void {
    for (const [key, piece] of this.#queued) {
      if (this.#running[urgency] >= this.#places[urgency]) return;
      if (piece.urgency !== urgency) continue;
      this.#queued.delete(key);
      this.#running[urgency] += 1;
      this.#started.set(key, piece.result);
      piece.start();
    }
  }
}

function isMoreUrgent(a: Urgency, b: Urgency): boolean {
  return URGENCIES.indexOf(a) < URGENCIES.indexOf(b);
}

function deferred<T>() {
  let resolve: (value: T | Promise<T>) => void = () => undefined;
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
