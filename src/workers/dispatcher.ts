import type { Socket } from 'node:net';

/** A place where connections can be sent. */
export interface Target {
  /** False when the process is gone. */
  send(id: number, socket: Socket): boolean;
}

interface Lane {
  target: Target;
  /** Connections that it holds, the unconfirmed ones included. */
  open: number;
  /** All connections it was ever given; decides between equals. */
  total: number;
  unconfirmed: Map<number, Socket>;
  /** Gets nothing more; what it has, it may finish. */
  retired: boolean;
}

/**
 * Spreads accepted connections over workers: each goes to the one that holds the fewest. Node's own cluster module
 * counts no open connections, and loses the one that is on its way when a worker dies; here a connection stays
 * with the master until its worker confirms it, and waits while there is no worker at all.
 */
export class Dispatcher {
  readonly #lanes = new Map<Target, Lane>();
  #waiting: Socket[] = [];
  #nextId = 1;

  get waiting(): number {
    return this.#waiting.length;
  }

  add(target: Target): void {
    this.#lanes.set(target, { target, open: 0, total: 0, unconfirmed: new Map(), retired: false });
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const socket of waiting) this.dispatch(socket);
  }

  /** No more connections for this target, which lives and may still confirm those on their way. */
  retire(target: Target): void {
    const lane = this.#lanes.get(target);
    if (lane !== undefined) lane.retired = true;
  }

  /** The target is dead: what it had not confirmed goes to others. */
  remove(target: Target): void {
    const lane = this.#lanes.get(target);
    this.#lanes.delete(target);
    for (const socket of lane?.unconfirmed.values() ?? []) this.dispatch(socket);
  }

  dispatch(socket: Socket): void {
    const lane = this.#leastLoaded();
    if (lane === undefined) {
      this.#waiting.push(socket);
      return;
    }
    const id = this.#nextId++;
    lane.open += 1;
    lane.total += 1;
    lane.unconfirmed.set(id, socket);
    if (!lane.target.send(id, socket)) this.remove(lane.target);
  }

  confirm(target: Target, id: number): void {
    const unconfirmed = this.#lanes.get(target)?.unconfirmed;
    // The worker has its own handle, so closing this one does not end the connection.
    unconfirmed?.get(id)?.destroy();
    unconfirmed?.delete(id);
  }

  /** The target leaves and has not touched this connection: it goes to another. */
  refuse(target: Target, id: number): void {
    const lane = this.#lanes.get(target);
    const socket = lane?.unconfirmed.get(id);
    if (lane === undefined || socket === undefined) return;
    lane.retired = true;
    lane.open -= 1;
    lane.unconfirmed.delete(id);
    this.dispatch(socket);
  }

  closed(target: Target): void {
    const lane = this.#lanes.get(target);
    if (lane !== undefined) lane.open -= 1;
  }

  /** Closes the connections that wait for a worker. */
  close(): void {
    for (const socket of this.#waiting) socket.destroy();
    this.#waiting = [];
  }

  #leastLoaded(): Lane | undefined {
    let best: Lane | undefined;
    for (const lane of this.#lanes.values()) {
      if (lane.retired) continue;
      if (best === undefined || isFreer(lane, best)) best = lane;
    }
    return best;
  }
}

function isFreer(a: Lane, b: Lane): boolean {
  const difference = load(a) - load(b);
  return difference < 0 || (difference === 0 && a.total < b.total);
}

/** One that has not confirmed yet is busy just now. */
function load(lane: Lane): number {
  return lane.open + lane.unconfirmed.size;
}
