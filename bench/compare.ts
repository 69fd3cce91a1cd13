import { setTimeout as sleep } from 'node:timers/promises';
import { Load } from './load.ts';
import { settle } from './machine.ts';
import type { Options } from './options.ts';
import { ownServer } from './own-server.ts';
import { residentMib, treeOf } from './processes.ts';
import type { Sample } from './sampling.ts';
import { ServerProcess } from './server-process.ts';
import { type Summary, summarize } from './summary.ts';
import type { TargetAddress } from './target.ts';
import { WORKLOADS } from './workloads/all.ts';
import { type Kind, UNITS, type Workload } from './workloads/workload.ts';

export interface Row {
  id: string;
  title: string;
  kind: Kind;
  /** By name of the target. */
  results: Record<string, Summary>;
}

export interface Comparison {
  targets: string[];
  rows: Row[];
  /** Claims that did not hold, and other things to know of the figures. */
  warnings: string[];
}

interface Contender extends TargetAddress {
  process?: ServerProcess;
  pid: number | undefined;
}

export const OURS = 'isthmus';
const SETTLE_MS = 300;
const WATCH_MS = 15;
const LIMIT_S = 60;

/** Measures us and the peers side by side: each round of a workload goes over all of them in turn. */
export async function compare(options: Options, tell: (line: string) => void): Promise<Comparison> {
  const own = await ownServer(options.folder, options);
  const contenders: Contender[] = [
    ...options.peers.map(({ command, pid, ...address }) => ({
      ...address,
      pid,
      ...(command !== undefined && {
        process: new ServerProcess(address.name, command, address.url),
      }),
    })),
    { name: OURS, url: own.url, process: own.process, pid: undefined },
  ];
  const targets = contenders.map(({ name, url, auth }) => ({ name, url, auth }));
  const load = new Load({ scale: options.scale, targets, limitSeconds: LIMIT_S });
  const run = new Run(options, contenders, load, tell);
  try {
    return await run.all();
  } finally {
    await load.close();
    for (const { process } of contenders) await process?.stop();
    own.remove();
  }
}

class Run {
  readonly #options: Options;
  readonly #contenders: Contender[];
  readonly #load: Load;
  readonly #tell: (line: string) => void;
  readonly #rows: Row[] = [];
  readonly #warnings: string[] = [];

  constructor(options: Options, contenders: Contender[], load: Load, tell: (line: string) => void) {
    this.#options = options;
    this.#contenders = contenders;
    this.#load = load;
    this.#tell = tell;
  }

  async all(): Promise<Comparison> {
    await this.#starts();
    for (const contender of this.#contenders) await this.#fill(contender);
    for (const workload of WORKLOADS) {
      if (!this.#options.wants(workload.id) || (workload.v1 && !this.#options.v1)) continue;
      await this.#measure(workload);
    }
    return {
      targets: this.#contenders.map(({ name }) => name),
      rows: this.#rows,
      warnings: this.#warnings,
    };
  }

  /** Milliseconds to the first answer, and memory a moment later; servers stay up after the last round. */
  async #starts(): Promise<void> {
    const times = new Map<string, Sample[]>();
    const memory = new Map<string, Sample[]>();
    const measures = this.#options.wants('w8.cold');
    const rounds = measures ? this.#options.scale.rounds : 1;
    for (let round = 1; round <= rounds; round += 1) {
      for (const contender of this.#contenders) {
        const { name, process } = contender;
        if (!process) continue;
        const seconds = (await process.start('/v2/')) / 1000;
        contender.pid = process.pid;
        await sleep(SETTLE_MS);
        const peakMib = residentMib(treeOf(process.pid));
        const sample = { count: 1, bytes: 0, seconds, wrong: 0 };
        times.set(name, [...(times.get(name) ?? []), sample]);
        memory.set(name, [...(memory.get(name) ?? []), { ...sample, peakMib }]);
        if (round < rounds) await process.stop();
      }
    }
    if (!measures) return;
    this.#add('w8.cold', 'start to the first answer', 'time', times);
    this.#add('w8.idle', 'memory after the start', 'memory', memory);
  }

  async #fill({ name, pid }: Contender): Promise<void> {
    await this.#load.do({ kind: 'process', target: name, pid });
    const claims = await this.#load.do<Record<string, boolean>>({
      kind: 'fill',
      target: name,
      check: true,
    });
    const v1 = this.#options.v1
      ? await this.#load.do<Record<string, boolean>>({ kind: 'fill-v1', target: name })
      : {};
    for (const [claim, holds] of Object.entries({ ...claims, ...v1 })) {
      if (!holds) this.#warnings.push(`${name}: not true that ${claim}`);
    }
  }

  async #measure(workload: Workload): Promise<void> {
    const { id, kind, title, rounds = Number.POSITIVE_INFINITY } = workload;
    const samples = new Map<string, Sample[]>();
    const failures = new Map<string, string>();
    const all = this.#contenders;
    for (let round = 0; round < Math.min(rounds, this.#options.scale.rounds); round += 1) {
      for (let turn = 0; turn < all.length; turn += 1) {
        const contender = all[(turn + round) % all.length] as Contender;
        const { name } = contender;
        if (failures.has(name)) continue;
        try {
          const sample = await this.#sample(workload, contender);
          samples.set(name, [...(samples.get(name) ?? []), sample]);
        } catch (error) {
          failures.set(name, (error as Error).message);
        }
      }
    }
    this.#add(id, title, kind, samples, failures);
  }

  async #sample(workload: Workload, contender: Contender): Promise<Sample> {
    const { id, heavy = false, fresh = false, memory = false } = workload;
    const { name, process } = contender;
    if (fresh && process) {
      await this.#load.do({ kind: 'disconnect', target: name });
      await process.stop();
      await process.start('/v2/');
      contender.pid = process.pid;
      await this.#load.do({ kind: 'process', target: name, pid: process.pid });
    }
    if (/^w(4|5\.push|8\.push)/.test(id)) settle(2 * this.#options.scale.bigBytes);
    const pids = treeOf(contender.pid);
    let peakMib = 0;
    const watch = () => {
      peakMib = Math.max(peakMib, residentMib(pids));
    };
    const timer = memory ? setInterval(watch, WATCH_MS) : undefined;
    try {
      const task = { kind: 'run', target: name, workload: id, heavy } as const;
      const sample = await this.#load.do<Sample>(task);
      return peakMib > 0 ? { ...sample, peakMib } : sample;
    } finally {
      clearInterval(timer);
    }
  }

  #add(
    id: string,
    title: string,
    kind: Kind,
    samples: Map<string, Sample[]>,
    failures = new Map<string, string>(),
  ): void {
    const results = Object.fromEntries(
      this.#contenders.map(({ name }) => [
        name,
        summarize(kind, samples.get(name) ?? [], failures.get(name)),
      ]),
    );
    this.#rows.push({ id, title, kind, results });
    for (const [name, { failure, notes }] of Object.entries(results)) {
      for (const note of [...(failure === undefined ? [] : [failure]), ...notes]) {
        this.#warnings.push(`${id} of ${name}: ${note}`);
      }
    }
    const scores = Object.entries(results).map(
      ([name, { score }]) => `${name} ${score === undefined ? 'failed' : score.toPrecision(4)}`,
    );
    this.#tell(`${id.padEnd(20)} ${scores.join('  ')} ${UNITS[kind]}`);
  }
}
