import { createHash } from 'node:crypto';
import { blobOf, imageOf, KIB, MANIFEST, MIB, sha256, withManifest } from './content.ts';
import { hasBlob, pushImage, pushInParts, pushWhole } from './steps.ts';
import { ACCEPT, must, type Target } from './target.ts';
import { refusesWrongChecksum, SEEDED, seedV1 } from './workloads/v1.ts';
import type { Seed } from './workloads/workload.ts';

/** The content that all reads are about, made in this process once for all targets. */
export function seedOf(bigBytes: number): Seed {
  let count = 0;
  return {
    image: imageOf(20, MIB, 'seed'),
    small: blobOf(KIB, 'small'),
    big: blobOf(bigBytes, `big${bigBytes}`),
    next: () => count++,
  };
}

/** Fills a target with it. */
export async function fill(target: Target, { image, small, big }: Seed): Promise<void> {
  const { connection } = target;
  await pushImage(target, 'bench/img', 'latest', image);
  for (const [repository, blob] of [
    ['bench/img', small],
    ['bench/big', big],
  ] as const) {
    if (!(await hasBlob(target, connection, repository, blob.digest))) {
      await pushWhole(target, connection, repository, blob);
    }
  }
}

/** Whether a target does the work that it is timed for: each claim, and whether it holds. */
export async function check(target: Target, seed: Seed): Promise<Record<string, boolean>> {
  return { ...(await checkReads(target, seed)), ...(await checkPushes(target, seed)) };
}

async function checkReads(target: Target, { image, big }: Seed): Promise<Record<string, boolean>> {
  const { connection } = target;
  const get = (path: string, headers = ACCEPT) =>
    target.request(connection, 'GET', path, { headers, collect: true });
  const manifest = await get('/v2/bench/img/manifests/latest');
  const hash = createHash('sha256');
  const path = `/v2/bench/big/blobs/${big.digest}`;
  await new Promise<void>((resolve, reject) => {
    const collect = (bytes: Buffer) => void hash.update(bytes);
    connection.send(target.head('GET', path), { collect }, (error) =>
      error ? reject(error) : resolve(),
    );
  });
  const [start, end] = [big.size - 999, big.size - 10];
  const range = await get(path, `Range: bytes=${start}-${end}\r\n`);
  const all = Buffer.concat(big.parts);
  return {
    'the manifest has its bytes': `sha256:${sha256(manifest.body)}` === image.manifest.digest,
    'the manifest has its digest':
      manifest.header('docker-content-digest') === image.manifest.digest,
    'the manifest has its type': manifest.header('content-type') === MANIFEST,
    'a big blob has its bytes': `sha256:${hash.digest('hex')}` === big.digest,
    'a range has its bytes':
      range.status === 206 && range.body.equals(all.subarray(start, end + 1)),
  };
}

async function checkPushes(target: Target, { image }: Seed): Promise<Record<string, boolean>> {
  const { connection } = target;
  const wrong = { ...blobOf(MIB), digest: `sha256:${sha256('not this')}` };
  const refuses = async (push: typeof pushWhole) => {
    const failed = await push(target, connection, 'bench/bad', wrong).then(
      () => false,
      (error: Error) => /status 4\d\d/.test(error.message),
    );
    return failed && !(await hasBlob(target, connection, 'bench/bad', wrong.digest));
  };
  const orphan = withManifest([wrong], image.config).manifest;
  const put = await target.request(connection, 'PUT', '/v2/bench/img/manifests/orphan', {
    headers: `Content-Type: ${MANIFEST}\r\n`,
    body: orphan.parts,
  });
  return {
    'a blob of another digest is refused': await refuses(pushWhole),
    'a blob of another digest is refused, in parts': await refuses(pushInParts(MIB / 4)),
    'a manifest of missing blobs is refused': put.status >= 400 && put.status < 500,
  };
}

/** The same for V1: what is needed, and whether layers and checksums are true. */
export async function fillV1(target: Target): Promise<Record<string, boolean>> {
  await seedV1(target);
  const image = SEEDED[3] as (typeof SEEDED)[number];
  const path = `/v1/images/${image.id}/layer`;
  const reply = must(await target.request(target.connection, 'GET', path, { collect: true }), 200);
  const json = must(
    await target.request(target.connection, 'GET', `/v1/images/${image.id}/json`, {
      collect: true,
    }),
    200,
  );
  return {
    'a V1 layer has its bytes': reply.body.equals(image.layer),
    'the JSON of a V1 image is its own': JSON.parse(json.body.toString()).id === image.id,
    'a V1 layer of another checksum is refused': await refusesWrongChecksum(target),
  };
}
