import { measured, now, type Sample } from '../sampling.ts';
import { must, type Target } from '../target.ts';
import { fillRepositories, fillTags, fillTiny, numbered } from './filling.ts';
import { hot } from './reads.ts';
import type { Scale, Workload } from './workload.ts';

const CONNECTIONS = 4;
/** More pages than any server needs for what is there: a list that goes in circles. */
const MOST_PAGES = 1000;
const MOST_LISTS = 200;

/** The bytes of requests for a page of 100 from the middle. */
export const tagsPage = (target: Target, tags: number) =>
  target.head('GET', `/v2/bench/tags/tags/list?n=100&last=${numbered('t', tags >> 1)}`);
export const catalogPage = (target: Target, repositories: number) =>
  target.head('GET', `/v2/_catalog?n=100&last=${numbered('cat/r', repositories >> 1)}`);

/** A kind of list, and how a target gets so much of it that a list is long. */
interface List {
  name: string;
  /** Key of the names in the answer. */
  key: string;
  path: string;
  size: (scale: Scale) => number;
  page: (target: Target, size: number) => Buffer;
  fill: (target: Target, from: number, to: number) => Promise<number>;
}

const TAGS: List = {
  name: 'tags',
  key: 'tags',
  path: '/v2/bench/tags/tags/list',
  size: ({ tags }) => tags,
  page: tagsPage,
  fill: fillTags,
};

const CATALOG: List = {
  name: 'repositories',
  key: 'repositories',
  path: '/v2/_catalog?n=1000',
  size: ({ repositories }) => repositories,
  page: catalogPage,
  fill: fillRepositories,
};

/** Reads every page from `path` on; gives how many names there are. */
async function namesOf(target: Target, { path, key }: List): Promise<number> {
  let names = 0;
  let next: string | undefined = path;
  for (let pages = 0; next !== undefined; pages += 1) {
    if (pages > MOST_PAGES) throw new Error(`more than ${MOST_PAGES} pages from ${path}`);
    const reply = await target.request(target.connection, 'GET', next, { collect: true });
    const body: Record<string, unknown[] | undefined> = JSON.parse(
      must(reply, 200).body.toString(),
    );
    names += body[key]?.length ?? 0;
    const link = /<([^>]+)>/.exec(reply.header('link') ?? '')?.[1];
    next = link?.replace(/^https?:\/\/[^/]*/, '');
  }
  return names;
}

const fills = new WeakMap<Target, Map<List, Sample>>();

/** Makes a list long, once for each target; gives what that cost. A server that was filled by an earlier run is left alone. */
async function filled(target: Target, list: List, scale: Scale): Promise<Sample> {
  const done = fills.get(target) ?? new Map<List, Sample>();
  fills.set(target, done);
  const earlier = done.get(list);
  if (earlier) return earlier;
  const size = list.size(scale);
  const there = await namesOf(target, list).catch(() => 0);
  await fillTiny(target);
  const sample = await measured(target, async () => ({
    count: there >= size ? 0 : await list.fill(target, 0, size),
  }));
  if (there >= size) sample.note = 'was filled before';
  else if (sample.count < size) sample.note = `only ${sample.count} of ${size} were made in time`;
  done.set(list, sample);
  return sample;
}

function page(id: string, list: List): Workload {
  return {
    id,
    title: `a page of 100 ${list.name} of many, c=${CONNECTIONS}`,
    kind: 'requests',
    heavy: true,
    async run(target, _seed, scale) {
      const { note } = await filled(target, list, scale);
      const bytes = list.page(target, list.size(scale));
      const limits = { connections: CONNECTIONS, name: id };
      const sample = await hot(target, scale, { next: () => bytes }, limits);
      return note?.startsWith('only') ? { ...sample, note } : sample;
    },
  };
}

function whole(id: string, title: string, list: List): Workload {
  return {
    id,
    title,
    kind: 'time',
    heavy: true,
    async run(target, _seed, scale) {
      await filled(target, list, scale);
      const names = await namesOf(target, list);
      const latencies: number[] = [];
      const end = now() + scale.seconds * 1000;
      const sample = await measured(target, async () => {
        do {
          const start = now();
          await namesOf(target, list);
          latencies.push(now() - start);
        } while (now() < end && latencies.length < MOST_LISTS);
        return { count: latencies.length, latencies };
      });
      const size = list.size(scale);
      return names < size ? { ...sample, note: `${names} of ${size} ${list.name}` } : sample;
    },
  };
}

/** w6: a large registry, how it gets so, and lists of it. */
export const LISTINGS: Workload[] = [
  {
    id: 'w6.fill',
    title: `push of tiny manifests, each under a tag of its own, c=${CONNECTIONS}`,
    kind: 'requests',
    heavy: true,
    writes: true,
    rounds: () => 1,
    run: (target, _seed, scale) => filled(target, TAGS, scale),
  },
  page('w6.tags.page', TAGS),
  whole('w6.tags.all', 'the list of many tags', TAGS),
  page('w6.catalog.page', CATALOG),
  whole('w6.catalog.all', 'the whole catalog, in pages of 1000', CATALOG),
];
