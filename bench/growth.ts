import { type GrowthPoint, SERIES, type Series } from './growth-series.ts';
import { interruptible } from './interrupt.ts';
import { Load } from './load.ts';
import type { Options } from './options.ts';
import { OURS, ownServer } from './own-server.ts';
import { residentMib, treeOf } from './processes.ts';
import type { Sample } from './sampling.ts';
import { type Summary, summarize } from './summary.ts';

export interface GrowthRow {
  x: number;
  /** By name of the line. */
  lines: Record<string, Summary>;
  /** Resident memory of all our processes after the measurement, MiB. */
  memoryMib: number;
}

export interface Growth {
  series: Pick<Series, 'id' | 'title' | 'axis' | 'kind'>;
  rows: GrowthRow[];
}

const LIMIT_S = 120;
/** Content of the series is made as it goes; nothing big is pushed in advance. */
const BIG_BYTES = 1 << 20;
/** Cold code would make the first points of each series look dear. */
const WARM_UP_S = 1;
const WARM_UP: readonly GrowthPoint[] = [
  { series: 'layers', x: 50, before: 0 },
  { series: 'concurrency', x: 8, before: 0 },
];

/** Measures all series on our server: one worker unless their number is what grows, and fsync off. */
export async function measureGrowths(
  options: Options,
  tell: (line: string) => void,
): Promise<Growth[]> {
  const growths: Growth[] = [];
  for (const series of SERIES) {
    if (!options.wants(series.id)) continue;
    const rows: GrowthRow[] = [];
    const groups = series.workers ? series.points.map((x) => [x]) : [series.points];
    for (const points of groups) {
      const workers = series.workers ? (points[0] as number) : 1;
      rows.push(...(await measurePoints(options, series, points, workers, tell)));
    }
    const { id, title, axis, kind } = series;
    growths.push({ series: { id, title, axis, kind }, rows });
  }
  return growths;
}

async function measurePoints(
  options: Options,
  { id, kind }: Series,
  points: readonly number[],
  workers: number,
  tell: (line: string) => void,
): Promise<GrowthRow[]> {
  const own = await ownServer(options.folder, { workers, fsync: false });
  const warmUp = Math.max(options.scale.warmUp, WARM_UP_S);
  const scale = { ...options.scale, bigBytes: BIG_BYTES, warmUp };
  const targets = [{ name: OURS, url: own.url }];
  const load = new Load({ scale, targets, limitSeconds: LIMIT_S });
  const target = OURS;
  const rows: GrowthRow[] = [];
  const measure = async () => {
    await own.process.start('/v2/');
    await load.do({ kind: 'process', target, pid: own.process.pid });
    await load.do({ kind: 'fill', target, check: false });
    for (const point of WARM_UP) await load.do({ kind: 'growth', target, point });
    let before = 0;
    for (const x of points) {
      const point = { series: id, x, before };
      const samples = await load.do<Record<string, Sample>>({ kind: 'growth', target, point });
      before = x;
      const lines = Object.fromEntries(
        Object.entries(samples).map(([name, sample]) => [name, summarize(kind, [sample])]),
      );
      rows.push({ x, lines, memoryMib: residentMib(treeOf(own.process.pid)) });
      const scores = Object.entries(lines).map(
        ([name, { score }]) => `${name} ${score?.toFixed(1)}`,
      );
      tell(`${id} ${x}: ${scores.join(', ')}`);
    }
    return rows;
  };
  return interruptible(measure, async () => {
    await load.close();
    await own.process.stop();
    own.remove();
  });
}
