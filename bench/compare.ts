import { checkClient } from './client-check.ts';
import { type Contender, Contenders } from './contenders.ts';
import { interruptible } from './interrupt.ts';
import { Load } from './load.ts';
import { settle } from './machine.ts';
import { MemoryWatch } from './memory-watch.ts';
import type { Options } from './options.ts';
import { statusOf } from './probe.ts';
import type { Sample } from './sampling.ts';
import { measureStarts, STARTS } from './starts.ts';
import { type Summary, summarize } from './summary.ts';
import { WORKLOADS } from './workloads/all.ts';
import { type Kind, UNITS, type Workload } from './workloads/workload.ts';

export interface Row {
  id: string;
  title: string;
  kind: Kind;
  /** By name of the target; who did not take part is missing. */
  results: Record<string, Summary>;
}

export interface Comparison {
  targets: string[];
  /** Those of the targets that are this registry. */
  ours: string[];
  /** The peer that ours is divided by; the best of them where undefined. */
  base?: string;
  rows: Row[];
  /** Claims that did not hold, and other things to know of the figures. */
  warnings: string[];
}

const LIMIT_S = { quick: 60, full: 120 };
const MANIFEST_PATH = '/v2/bench/img/manifests/latest';
/** More wrong answers than this part, and the figure is of something else. */
const WRONG = 0.01;
/** A sample that writes may fill as much memory as so many big blobs. */
const SETTLED_BLOBS = 5;

/** Measures us and the peers side by side: each round of a workload goes over all of them in turn. */
export async function compare(options: Options, tell: (line: string) => void): Promise<Comparison> {
  const contenders = await Contenders.of(options);
  for (const doubt of contenders.doubts) tell(`note: ${doubt}`);
  const targets = contenders.all.map(({ name, url, auth }) => ({ name, url, auth }));
  const limitSeconds = options.scale.full ? LIMIT_S.full : LIMIT_S.quick;
  const load = new Load({ scale: options.scale, targets, limitSeconds });
  const run = new Run(options, contenders.all, load, tell);
  return interruptible(
    () => run.all(),
    async () => {
      await load.close();
      await contenders.end();
    },
  );
}

class Run {
  readonly #options: Options;
  readonly #contenders: readonly Contender[];
  readonly #load: Load;
  readonly #tell: (line: string) => void;
  readonly #rows: Row[] = [];
  readonly #warnings: string[] = [];

  constructor(
    options: Options,
    contenders: readonly Contender[],
    load: Load,
    tell: (line: string) => void,
  ) {
    this.#options = options;
    this.#contenders = contenders;
    this.#load = load;
    this.#tell = tell;
  }

  async all(): Promise<Comparison> {
    const { base, checkClient: checks } = this.#options;
    await this.#starts();
    for (const contender of this.#contenders) await this.#fill(contender);
    if (checks) await this.#checkClient();
    for (const workload of WORKLOADS) await this.#measure(workload);
    await this.#startsOverFull();
    return {
      targets: this.#contenders.map(({ name }) => name),
      ours: this.#contenders.filter(({ ours }) => ours).map(({ name }) => name),
      ...(base !== undefined && { base }),
      rows: this.#rows,
      warnings: this.#warnings,
    };
  }

  /** Who is measured with this workload. */
  #takers(id: string, protocol: 'v1' | 'v2' = 'v2'): Contender[] {
    const { wants } = this.#options;
    if (!this.#options[protocol]) return [];
    return this.#contenders.filter(({ name, speaks }) => speaks[protocol] && wants(id, name));
  }

  async #starts(): Promise<void> {
    const { wants, scale, v2 } = this.#options;
    const ping = v2 ? '/v2/' : '/v1/_ping';
    const measured = ({ name }: Contender) =>
      [STARTS.cold, STARTS.idle].some(({ id }) => wants(id, name));
    const others = this.#contenders.filter((contender) => !measured(contender));
    await measureStarts(others, 1, ping);
    const started = await measureStarts(this.#contenders.filter(measured), scale.rounds, ping);
    for (const { url, speaks } of this.#contenders) {
      speaks.v1 = (await statusOf(url, '/v1/_ping')) === 200;
      speaks.v2 = [200, 401].includes((await statusOf(url, '/v2/')) ?? 0);
    }
    const rows = [
      [STARTS.cold, started.times],
      [STARTS.idle, started.memory],
    ] as const;
    for (const [{ id, title, kind }, samples] of rows) {
      const some = [...samples].filter(([name]) => wants(id, name));
      if (some.length > 0) this.#add(id, title, kind, new Map(some));
    }
  }

  /** Once more, over the stores that the run has filled. */
  async #startsOverFull(): Promise<void> {
    const { id, title, kind } = STARTS.coldFull;
    const takers = this.#takers(id).filter(({ process }) => process);
    if (takers.length === 0 || !this.#options.wants(id)) return;
    for (const { name, process } of this.#contenders) {
      await this.#load.do({ kind: 'disconnect', target: name });
      await process?.stop();
    }
    try {
      const { times } = await measureStarts(takers, this.#options.scale.rounds, MANIFEST_PATH);
      this.#add(id, title, kind, times);
    } catch (error) {
      // All else has been measured by now.
      this.#warnings.push(`${id}: ${(error as Error).message}`);
    }
  }

  async #fill({ name, pid, speaks }: Contender): Promise<void> {
    const { v1, v2 } = this.#options;
    await this.#load.do({ kind: 'process', target: name, pid });
    const claims = {
      ...(v2 &&
        speaks.v2 &&
        (await this.#load.do<Record<string, boolean>>({
          kind: 'fill',
          target: name,
          check: true,
        }))),
      ...(v1 &&
        speaks.v1 &&
        (await this.#load.do<Record<string, boolean>>({ kind: 'fill-v1', target: name }))),
    };
    for (const [claim, holds] of Object.entries(claims)) {
      if (!holds) this.#warnings.push(`${name}: not true that ${claim}`);
    }
  }

  async #checkClient(): Promise<void> {
    const first = this.#contenders.find(({ speaks }) => speaks.v2);
    if (!first || !this.#options.v2) return;
    const { name, url } = first;
    const task = { kind: 'run', target: name, workload: 'w1.tag.c32', heavy: false } as const;
    const { count, seconds } = await this.#load.do<Sample>(task);
    this.#tell(checkClient(name, url, count / seconds));
  }

  async #measure(workload: Workload): Promise<void> {
    const { id, kind, title, v1, memory } = workload;
    const takers = this.#takers(id, v1 ? 'v1' : 'v2');
    if (takers.length === 0) return;
    const { scale } = this.#options;
    const samples = new Map<string, Sample[]>();
    const failures = new Map<string, string>();
    const rounds = Math.min(workload.rounds?.(scale) ?? scale.rounds, scale.rounds);
    for (let round = 0; round < rounds; round += 1) {
      for (let turn = 0; turn < takers.length; turn += 1) {
        const contender = takers[(turn + round) % takers.length] as Contender;
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
    const watched = [...samples].filter(([, all]) => all.some(({ peakMib }) => peakMib));
    if (memory && watched.length > 0) {
      this.#add(`${id}.rss`, `memory during ${title}`, 'memory', new Map(watched));
    }
  }

  async #sample(workload: Workload, contender: Contender): Promise<Sample> {
    const { id, heavy = false, fresh = false, memory = false, writes = false } = workload;
    const { name, process } = contender;
    if (fresh && process) {
      await this.#load.do({ kind: 'disconnect', target: name });
      await process.stop();
      await process.start(this.#options.v2 ? '/v2/' : '/v1/_ping');
      contender.pid = process.pid;
      await this.#load.do({ kind: 'process', target: name, pid: process.pid });
    }
    if (writes) settle(SETTLED_BLOBS * this.#options.scale.bigBytes);
    const { pid } = contender;
    const watch = memory && pid !== undefined ? new MemoryWatch(pid) : undefined;
    try {
      const task = { kind: 'run', target: name, workload: id, heavy } as const;
      const sample = await this.#load.do<Sample>(task);
      if (sample.wrong > sample.count * WRONG) {
        throw new Error(`${sample.wrong} wrong answers: ${sample.firstWrong}`);
      }
      return watch ? { ...sample, peakMib: watch.peakMib } : sample;
    } finally {
      watch?.stop();
    }
  }

  #add(
    id: string,
    title: string,
    kind: Kind,
    samples: ReadonlyMap<string, Sample[]>,
    failures: ReadonlyMap<string, string> = new Map(),
  ): void {
    const results: Record<string, Summary> = {};
    for (const { name } of this.#contenders) {
      if (!samples.has(name) && !failures.has(name)) continue;
      results[name] = summarize(kind, samples.get(name) ?? [], failures.get(name));
    }
    this.#rows.push({ id, title, kind, results });
    for (const [name, { failure, notes }] of Object.entries(results)) {
      for (const note of [...(failure === undefined ? [] : [failure]), ...notes]) {
        this.#warnings.push(`${id} of ${name}: ${note}`);
      }
    }
    const scores = Object.entries(results).map(
      ([name, { score, failure }]) =>
        `${name} ${score?.toPrecision(4) ?? (failure === undefined ? '–' : 'failed')}`,
    );
    this.#tell(`${id.padEnd(20)} ${scores.join('  ')} ${UNITS[kind]}`);
  }
}
