import { randomUUID } from 'node:crypto';
import { blobOf, type Content, chunked, imageOf, MIB, withManifest } from '../content.ts';
import { measured, pool } from '../sampling.ts';
import { mount, pullImage, pushImage, pushInParts, pushWhole, putManifest } from '../steps.ts';
import type { Target } from '../target.ts';
import type { Seed, Workload } from './workload.ts';

const LAYERS = 20;
const PART = 16 * MIB;
const TIMES = 5;

/** Blobs are made before the clock starts, and are new to the server in every sample. */
async function uploads(
  target: Target,
  seed: Seed,
  count: number,
  bytes: number,
  connections: number,
  push: typeof pushWhole,
) {
  const blobs = Array.from({ length: count }, () => blobOf(bytes));
  const repository = `bench/up${seed.next() % 4}`;
  return measured(target, async () => ({
    count,
    bytes: count * bytes,
    latencies: await pool(target, connections, count, (connection, n) =>
      push(target, connection, repository, blobs[n] as Content),
    ),
  }));
}

function megabytes(way: string, push: typeof pushWhole, connections: number): Workload {
  return {
    id: `w4.${way}.1m.c${connections}`,
    title: `push of blobs of 1 MiB, ${way}, c=${connections}`,
    kind: 'bytes',
    writes: true,
    run: (target, seed, { pushes }) => uploads(target, seed, pushes, MIB, connections, push),
  };
}

function bigOne(way: string, push: typeof pushWhole): Workload {
  return {
    id: `w4.${way}.big.c1`,
    title: `push of the big blob, ${way}`,
    kind: 'bytes',
    writes: true,
    run: (target, seed, { bigBytes }) => uploads(target, seed, 1, bigBytes, 1, push),
  };
}

/** w4 and w5: blobs in all ways, and whole images as docker moves them. */
export const PUSHES: Workload[] = [
  ...[1, 4].flatMap((connections) => [
    megabytes('mono', pushWhole, connections),
    megabytes('patch', pushInParts(MIB), connections),
  ]),
  bigOne('mono', pushWhole),
  bigOne('patch', pushInParts(PART)),
  {
    id: 'w5.push',
    title: `push of an image of ${LAYERS} layers of 1 MiB`,
    kind: 'time',
    writes: true,
    async run(target, seed, { run }) {
      const image = imageOf(LAYERS, MIB);
      for (const { parts } of image.layers) chunked(parts);
      const repository = `bench/new${seed.next()}-${run}`;
      return measured(target, async () => {
        await pushImage(target, repository, 'v1', image);
        return { count: 1, bytes: LAYERS * MIB };
      });
    },
  },
  {
    id: 'w5.pull',
    title: 'pull of that image',
    kind: 'time',
    async run(target, _seed, { full }) {
      await pullImage(target, 'bench/img', 'latest');
      const times = full ? 2 * TIMES : TIMES;
      return measured(target, async () => {
        let bytes = 0;
        for (let n = 0; n < times; n += 1) bytes += await pullImage(target, 'bench/img', 'latest');
        return { count: times, bytes };
      });
    },
  },
  {
    id: 'w5.repush',
    title: 'push of an image whose blobs are there',
    kind: 'time',
    async run(target, { image: { layers, config } }) {
      const images = Array.from({ length: TIMES }, () =>
        withManifest(layers, config, { n: randomUUID() }),
      );
      return measured(target, async () => {
        for (const image of images) await pushImage(target, 'bench/img', 'again', image);
        return { count: TIMES };
      });
    },
  },
  {
    id: 'w5.mount',
    title: `mount of ${LAYERS} layers and a config, and the manifest`,
    kind: 'time',
    async run(target, { image, next }, { run }) {
      const repository = `bench/mount${next()}-${run}`;
      const blobs = [...image.layers, image.config];
      let refused = 0;
      const sample = await measured(target, async () => {
        await pool(target, 5, blobs.length, async (connection, n) => {
          const blob = blobs[n] as Content;
          if (!(await mount(target, connection, repository, blob, 'bench/img'))) refused += 1;
        });
        await putManifest(target, target.connection, repository, 'v1', image.manifest);
        return { count: 1 };
      });
      if (refused > 0) sample.note = `${refused} of ${blobs.length} mounts refused`;
      return sample;
    },
  },
  {
    id: 'w8.push4',
    title: 'four pushes of the big blob at once',
    kind: 'bytes',
    run: (target, seed, { bigBytes }) => uploads(target, seed, 4, bigBytes, 4, pushWhole),
    writes: true,
    memory: true,
    fresh: true,
    rounds: ({ full }) => (full ? 3 : 1),
  },
];
