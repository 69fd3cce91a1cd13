import { readFileSync } from 'node:fs';
import type { Options } from './options.ts';
import { OURS, type OwnServer, ownServer } from './own-server.ts';
import { ServerProcess } from './server-process.ts';
import type { TargetAddress } from './target.ts';

/** A registry that is measured. */
export interface Contender extends TargetAddress {
  /** Whether it is this one, in whatever form. */
  ours: boolean;
  /** Where the benchmark starts and stops it. */
  process?: ServerProcess;
  pid: number | undefined;
  /** The protocols that it answers to, once it was asked. */
  speaks: { v1: boolean; v2: boolean };
}

export class Contenders {
  readonly all: readonly Contender[];
  readonly #owns: readonly OwnServer[];

  private constructor(all: readonly Contender[], owns: readonly OwnServer[]) {
    this.all = all;
    this.#owns = owns;
  }

  /** The peers, then ours over empty stores, in all its variants. Nothing is started yet. */
  static async of({ peers, variants, folder, workers, fsync }: Options): Promise<Contenders> {
    const owns: OwnServer[] = [];
    const all: Contender[] = peers.map(({ command, pid, ...address }) => ({
      ...address,
      ours: false,
      pid,
      speaks: { v1: false, v2: false },
      ...(command !== undefined && {
        process: new ServerProcess(address.name, command, address.url),
      }),
    }));
    for (const { name, env } of [{ name: OURS, env: {} }, ...variants]) {
      const own = await ownServer(folder, { workers, fsync, env });
      owns.push(own);
      const speaks = { v1: false, v2: false };
      all.push({ name, url: own.url, process: own.process, ours: true, pid: undefined, speaks });
    }
    return new Contenders(all, owns);
  }

  /** What may go wrong with the ports of those that are started, for the user to know. */
  get doubts(): string[] {
    const first = firstEphemeralPort();
    return this.all.flatMap(({ name, url, process }) => {
      const port = Number(new URL(url).port || 80);
      if (!process || port < first) return [];
      return [
        `port ${port} of ${name} is one that the system gives to outgoing connections (from ${first} on): it may be taken`,
      ];
    });
  }

  /** Stops all that were started, and removes our stores. */
  async end(): Promise<void> {
    for (const { process } of this.all) await process?.stop();
    for (const own of this.#owns) own.remove();
  }
}

function firstEphemeralPort(): number {
  try {
    const range = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'latin1');
    return Number(range.split(/\s+/)[0]);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
