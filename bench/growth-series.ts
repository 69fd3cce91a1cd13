import { blobOf, imageOf, KIB, MIB } from './content.ts';
import { loop, measured, pool, type Sample } from './sampling.ts';
import { pullImage, pushImage, pushWhole } from './steps.ts';
import { ACCEPT, type Target } from './target.ts';
import { fillRepositories, fillTags, fillTiny } from './workloads/filling.ts';
import { catalogPage, tagsPage } from './workloads/listings.ts';
import { hot } from './workloads/reads.ts';
import type { Kind, Scale, Seed } from './workloads/workload.ts';

interface Place {
  target: Target;
  seed: Seed;
  scale: Scale;
  x: number;
  /** The point before; 0 for the first. */
  before: number;
}

/** How a cost grows with one thing, all others being the same. */
export interface Series {
  id: string;
  title: string;
  /** What grows. */
  axis: string;
  points: readonly number[];
  kind: Kind;
  /** Whether x is the number of worker processes, for which the server is started anew. */
  workers?: true;
  /** Each line of the chart at one point. */
  measure(place: Place): Promise<Record<string, Sample>>;
}

const CONNECTIONS = 32;
const LAYER_BYTES = 64 * KIB;
/** Bytes that a sample moves at least, so that small blobs are moved often. */
const MOVED_BYTES = 32 * MIB;

const manifest = (target: Target) => {
  const request = target.head('GET', '/v2/bench/img/manifests/latest', ACCEPT);
  return { next: () => request };
};

const pulledBlob = (target: Target, digest: string) => {
  const request = target.head('GET', `/v2/bench/img/blobs/${digest}`);
  return { next: () => request };
};

/** Every series, in the order of the page. */
export const SERIES: readonly Series[] = [
  {
    id: 'concurrency',
    title: 'Small reads by connections (one worker)',
    axis: 'connections',
    points: [1, 2, 4, 8, 16, 32, 64, 128, 256],
    kind: 'requests',
    async measure({ target, seed, scale, x }) {
      const limits = { connections: x };
      return {
        'manifest by tag': await hot(target, scale, manifest(target), limits),
        'blob of 1 KiB': await hot(target, scale, pulledBlob(target, seed.small.digest), limits),
      };
    },
  },
  {
    id: 'workers',
    title: `Small reads by worker processes (${CONNECTIONS} connections)`,
    axis: 'workers',
    points: [1, 2, 4],
    kind: 'requests',
    workers: true,
    async measure({ target, seed, scale, x }) {
      const limits = { connections: CONNECTIONS };
      // Each worker has to get warm by itself.
      const warm = { ...scale, warmUp: scale.warmUp * x * 2 };
      return {
        'manifest by tag': await hot(target, warm, manifest(target), limits),
        'blob of 1 KiB': await hot(target, warm, pulledBlob(target, seed.small.digest), limits),
      };
    },
  },
  {
    id: 'sizes',
    title: 'Bytes by size of blob (4 connections)',
    axis: 'bytes of a blob',
    points: [KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB, 16 * MIB, 64 * MIB, 256 * MIB],
    kind: 'bytes',
    async measure({ target, x }) {
      const times = Math.max(4, Math.min(400, Math.ceil(MOVED_BYTES / x)));
      const blobs = Array.from({ length: x >= 64 * MIB ? 1 : times }, () => blobOf(x));
      const push = await measured(target, async () => ({
        count: blobs.length,
        bytes: blobs.length * x,
        latencies: await pool(target, 4, blobs.length, (connection, n) =>
          pushWhole(target, connection, 'bench/img', blobs[n] as (typeof blobs)[number]),
        ),
      }));
      const read = pulledBlob(target, (blobs[0] as (typeof blobs)[number]).digest);
      const options = { ...read, bodyBytes: x, connections: 4, seconds: 5 };
      await loop(target, { ...options, most: 4 });
      const pull = await measured(target, () => loop(target, { ...options, most: times * 4 }));
      return { pull, push };
    },
  },
  {
    id: 'layers',
    title: 'A whole image by its layers of 64 KiB',
    axis: 'layers',
    points: [1, 2, 5, 10, 20, 50, 100],
    kind: 'time',
    async measure({ target, seed, scale, x }) {
      const image = imageOf(x, LAYER_BYTES);
      const repository = `bench/layers${seed.next()}-${scale.run}`;
      const push = await measured(target, async () => {
        await pushImage(target, repository, 'v1', image);
        return { count: 1 };
      });
      await pullImage(target, repository, 'v1');
      const pull = await measured(target, async () => {
        for (let n = 0; n < 3; n += 1) await pullImage(target, repository, 'v1');
        return { count: 3 };
      });
      return { push, pull };
    },
  },
  {
    id: 'tags',
    title: 'By tags in one repository (4 connections)',
    axis: 'tags',
    points: [10, 100, 1000, 10_000],
    kind: 'requests',
    async measure({ target, scale, x, before }) {
      await fillTiny(target);
      const fill = await measured(target, async () => ({
        count: await fillTags(target, before, x),
      }));
      const page = tagsPage(target, x);
      const one = target.head('GET', '/v2/bench/tags/manifests/t000003', ACCEPT);
      const limits = { connections: 4 };
      return {
        'page of 100 tags': await hot(target, scale, { next: () => page }, limits),
        'manifest by tag': await hot(target, scale, { next: () => one }, limits),
        'push of another tag': fill,
      };
    },
  },
  {
    id: 'repositories',
    title: 'By repositories in the registry (4 connections)',
    axis: 'repositories',
    points: [10, 100, 1000, 5000],
    kind: 'requests',
    async measure({ target, scale, x, before }) {
      await fillTiny(target);
      const fill = await measured(target, async () => ({
        count: await fillRepositories(target, before, x),
      }));
      const page = catalogPage(target, x);
      const one = target.head('GET', '/v2/cat/r000003/manifests/latest', ACCEPT);
      const limits = { connections: 4 };
      return {
        'page of 100 repositories': await hot(target, scale, { next: () => page }, limits),
        'manifest by tag': await hot(target, scale, { next: () => one }, limits),
        'push of another repository': fill,
      };
    },
  },
];

/** One point of a series, as the thread that makes the load is asked for it. */
export interface GrowthPoint {
  series: string;
  x: number;
  before: number;
}

export function measureGrowth(
  target: Target,
  seed: Seed,
  scale: Scale,
  { series, x, before }: GrowthPoint,
): Promise<Record<string, Sample>> {
  const found = SERIES.find(({ id }) => id === series);
  if (!found) throw new Error(`there is no series ${series}`);
  return found.measure({ target, seed, scale, x, before });
}
