import { KIB, MIB, sha256 } from '../content.ts';
import { type LoopOptions, loop, measured, type Sample } from '../sampling.ts';
import { ACCEPT, type Target } from '../target.ts';
import type { Scale, Seed, Workload } from './workload.ts';

type Request = Pick<LoopOptions, 'next' | 'status' | 'bodyBytes' | 'head'>;
type Limits = Pick<LoopOptions, 'connections'> &
  Partial<Pick<LoopOptions, 'most' | 'seconds'>> & {
    /** Of what is measured; the server gets used to it only the first time. */
    name?: string;
  };

const WARM_AGAIN_S = 0.08;

/** The same requests again and again, once the server has had time to get used to them. */
export async function hot(
  target: Target,
  scale: Scale,
  request: Request,
  limits: Limits,
): Promise<Sample> {
  const { connections, most, seconds = scale.seconds, name } = limits;
  const known = name !== undefined && target.warm.has(name);
  const warmUp = known ? Math.min(WARM_AGAIN_S, scale.warmUp) : scale.warmUp;
  const warm = { seconds: warmUp, connections, ...(most !== undefined && { most: 1 }) };
  await loop(target, { ...request, ...warm });
  if (name !== undefined) target.warm.add(name);
  const options = { ...request, connections, seconds, ...(most !== undefined && { most }) };
  return measured(target, () => loop(target, options));
}

const IMAGE = '/v2/bench/img';

/** Makes the bytes of requests once, before the clock runs. */
function always(request: Buffer): () => Buffer {
  return () => request;
}

function inTurn(requests: readonly Buffer[]): (n: number) => Buffer {
  return (n) => requests[n % requests.length] as Buffer;
}

function manifestBy(tag: boolean, method = 'GET') {
  return (target: Target, { image: { manifest } }: Seed): Request => ({
    next: always(
      target.head(method, `${IMAGE}/manifests/${tag ? 'latest' : manifest.digest}`, ACCEPT),
    ),
    ...(method === 'HEAD' ? { head: true } : { bodyBytes: manifest.size }),
  });
}

function layers(method: string) {
  return (target: Target, { image }: Seed): Request => ({
    next: inTurn(image.layers.map(({ digest }) => target.head(method, `${IMAGE}/blobs/${digest}`))),
    ...(method === 'HEAD' ? { head: true } : { bodyBytes: MIB }),
  });
}

const missing = (target: Target): Request => ({
  next: always(target.head('HEAD', `${IMAGE}/blobs/sha256:${sha256('missing')}`)),
  status: 404,
  head: true,
});

const small = (target: Target, seed: Seed): Request => ({
  next: always(target.head('GET', `${IMAGE}/blobs/${seed.small.digest}`)),
  bodyBytes: KIB,
});

const big = (target: Target, seed: Seed): Request => ({
  next: always(target.head('GET', `/v2/bench/big/blobs/${seed.big.digest}`)),
  bodyBytes: seed.big.size,
});

function ranges(bytes: number) {
  return (target: Target, seed: Seed): Request => {
    const path = `/v2/bench/big/blobs/${seed.big.digest}`;
    const requests = Array.from({ length: 64 }, (_, n) => {
      const start = Math.floor((seed.big.size - bytes) * ((n * 0.618_033_988_7) % 1));
      return target.head('GET', path, `Range: bytes=${start}-${start + bytes - 1}\r\n`);
    });
    return { next: inTurn(requests), status: 206, bodyBytes: bytes };
  };
}

/** As a client goes on with a pull that broke off half way. */
const secondHalf = (target: Target, { big: { digest, size } }: Seed): Request => {
  const half = size >> 1;
  const path = `/v2/bench/big/blobs/${digest}`;
  return {
    next: always(target.head('GET', path, `Range: bytes=${half}-\r\n`)),
    status: 206,
    bodyBytes: size - half,
  };
};

function read(
  id: string,
  title: string,
  kind: Workload['kind'],
  request: (target: Target, seed: Seed) => Request,
  limits: Limits,
): Workload {
  return {
    id,
    title: `${title}, c=${limits.connections}`,
    kind,
    run: (target, seed, scale) =>
      hot(target, scale, request(target, seed), { ...limits, name: id }),
  };
}

const whole = (connections: number) => ({
  connections,
  seconds: 20,
  most: Math.max(connections, 2),
});

/** w1 to w3 and w7: what pulls ask for. */
export const READS: Workload[] = [
  ...[1, 32].flatMap((c) => [
    read(`w1.tag.c${c}`, 'manifest by tag', 'requests', manifestBy(true), { connections: c }),
    read(`w1.digest.c${c}`, 'manifest by digest', 'requests', manifestBy(false), {
      connections: c,
    }),
  ]),
  ...[1, 32].map((c) =>
    read(`w2.head-manifest.c${c}`, 'HEAD manifest', 'requests', manifestBy(true, 'HEAD'), {
      connections: c,
    }),
  ),
  read('w2.head-blob.c32', 'HEAD blob', 'requests', layers('HEAD'), { connections: 32 }),
  read('w2.head-missing.c32', 'HEAD blob that is missing', 'requests', missing, {
    connections: 32,
  }),
  ...[1, 8].flatMap((c) => [
    read(`w3.1k.c${c}`, 'blob of 1 KiB', 'requests', small, { connections: c }),
    read(`w3.1m.c${c}`, 'blob of 1 MiB', 'bytes', layers('GET'), { connections: c }),
    read(`w3.big.c${c}`, 'big blob', 'bytes', big, whole(c)),
  ]),
  read('w7.64k.c8', 'range of 64 KiB', 'bytes', ranges(64 * KIB), { connections: 8 }),
  read('w7.1m.c1', 'range of 1 MiB', 'bytes', ranges(MIB), { connections: 1 }),
  read('w7.1m.c8', 'range of 1 MiB', 'bytes', ranges(MIB), { connections: 8 }),
  read('w7.resume', 'second half of the big blob', 'bytes', secondHalf, {
    connections: 1,
    seconds: 10,
    most: 2,
  }),
  {
    ...read('w8.pull8', 'pulls of the big blob at once', 'bytes', big, whole(8)),
    memory: true,
    rounds: () => 1,
  },
];
