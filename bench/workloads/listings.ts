import { type Content, imageOf, withManifest } from '../content.ts';
import { now, pool } from '../sampling.ts';
import { mount, pushImage, putManifest } from '../steps.ts';
import type { Target } from '../target.ts';
import { hot } from './reads.ts';
import type { Scale, Workload } from './workload.ts';

const LIMIT_MS = 240_000;
const CONNECTIONS = 4;

const numbered = (prefix: string, n: number) => `${prefix}${String(n).padStart(6, '0')}`;
const tiny = imageOf(1, 64, 'tiny');

/** Tags t000000 and so on of `bench/tags`, from `from` to before `to`, each naming a manifest of its own. */
export async function fillTags(target: Target, from: number, to: number): Promise<number> {
  if (from === 0) await pushImage(target, 'bench/tags', 'seed', tiny);
  return fill(target, to - from, (connection, n) => {
    const { manifest } = withManifest(tiny.layers, tiny.config, { n: String(from + n) });
    return putManifest(target, connection, 'bench/tags', numbered('t', from + n), manifest);
  });
}

/** Repositories cat/r000000 and so on, from `from` to before `to`. */
export async function fillRepositories(target: Target, from: number, to: number): Promise<number> {
  await pushImage(target, 'bench/tags', 'seed', tiny);
  return fill(target, to - from, async (connection, n) => {
    const name = numbered('cat/r', from + n);
    for (const blob of [...tiny.layers, tiny.config] as Content[]) {
      await mount(target, connection, name, blob, 'bench/tags');
    }
    await putManifest(target, connection, name, 'latest', tiny.manifest);
  });
}

/** Gives how many were made before the time was up. */
async function fill(
  target: Target,
  count: number,
  make: Parameters<typeof pool>[3],
): Promise<number> {
  const end = now() + LIMIT_MS;
  let made = 0;
  await pool(target, CONNECTIONS, count, async (connection, n) => {
    if (now() > end) return;
    await make(connection, n);
    made += 1;
  });
  return made;
}

/** The bytes of requests for a page of 100 from the middle. */
export const tagsPage = (target: Target, tags: number) =>
  target.head('GET', `/v2/bench/tags/tags/list?n=100&last=${numbered('t', tags >> 1)}`);
export const catalogPage = (target: Target, repositories: number) =>
  target.head('GET', `/v2/_catalog?n=100&last=${numbered('cat/r', repositories >> 1)}`);

function page(
  id: string,
  title: string,
  size: (scale: Scale) => number,
  request: (target: Target, size: number) => Buffer,
  fillUp: (target: Target, from: number, to: number) => Promise<number>,
): Workload {
  const filled = new WeakMap<Target, number>();
  return {
    id,
    title: `a page of 100 ${title}, c=${CONNECTIONS}`,
    kind: 'requests',
    heavy: true,
    async run(target, _seed, scale) {
      const made = filled.get(target) ?? (await fillUp(target, 0, size(scale)));
      filled.set(target, made);
      const bytes = request(target, size(scale));
      const sample = await hot(target, scale, { next: () => bytes }, { connections: CONNECTIONS });
      if (made < size(scale)) sample.note = `only ${made} of ${size(scale)} were there`;
      return sample;
    },
  };
}

/** w6: pages of a large registry. */
export const LISTINGS: Workload[] = [
  page('w6.tags.page', 'tags of many', (scale) => scale.tags, tagsPage, fillTags),
  page(
    'w6.catalog.page',
    'repositories of many',
    (scale) => scale.repositories,
    catalogPage,
    fillRepositories,
  ),
];
