import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startIsthmus } from '../../support/child-server.ts';
import { makeV2Image } from '../../support/images.ts';
import { KeepAliveClient } from '../../support/keep-alive-client.ts';
import { Seeded } from '../../support/seeded.ts';
import { sha256 } from '../../support/tar-layer.ts';
import { V2Client } from '../../support/v2-client.ts';
import { type Budget, excess } from '../../support/work/budget.ts';
import { startCounted, startWeighed } from '../../support/work/measured-server.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const IMAGE = makeV2Image({ seed: 7, layers: 3 });
const SMALL = new Seeded(1).bytes(KIB);
const LARGE = new Seeded(2).bytes(MIB);
const NUMBERED = 120;

const REPOSITORY = '/v2/team/app';
const blob = (bytes: Buffer) => `${REPOSITORY}/blobs/${sha256(bytes)}`;
const V1_IMAGE = `/v1/images/${sha256(IMAGE.config).slice('sha256:'.length)}`;
const RANGE = { range: 'bytes=100000-165535' };

interface Read {
  request: [method: string, path: string, headers?: Record<string, string>];
  status?: number;
  /** Calls on files of the store, and bytes. */
  work: Budget;
  /** KiB that the server may allocate on the heap; a quarter above what was measured with Node 20. */
  heapKib: number;
}

/** Every read that pulls are made of. When one gets cheaper, lower its budget; never raise one without a reason. */
const READS: Record<string, Read> = {
  'a manifest by tag': {
    request: ['GET', `${REPOSITORY}/manifests/latest`],
    work: { stats: 1 },
    heapKib: 36,
  },
  'a manifest by digest': {
    request: ['GET', `${REPOSITORY}/manifests/${IMAGE.digest}`],
    work: { stats: 1 },
    heapKib: 28,
  },
  'a manifest by tag, head only': {
    request: ['HEAD', `${REPOSITORY}/manifests/latest`],
    work: { stats: 1 },
    heapKib: 27,
  },
  'a blob, head only': {
    request: ['HEAD', blob(LARGE)],
    work: { stats: 2 },
    heapKib: 28,
  },
  'a blob that is not there, head only': {
    request: ['HEAD', blob(Buffer.from('missing'))],
    status: 404,
    work: { stats: 1 },
    heapKib: 24,
  },
  'a blob of 1 KiB': {
    request: ['GET', blob(SMALL)],
    work: { stats: 2 },
    heapKib: 33,
  },
  'a blob of 1 MiB': {
    request: ['GET', blob(LARGE)],
    work: { stats: 2, opens: 1, reads: 2, readBytes: MIB },
    heapKib: 42,
  },
  'a range of 64 KiB': {
    request: ['GET', blob(LARGE), RANGE],
    status: 206,
    work: { stats: 2, opens: 1, reads: 1, readBytes: 64 * KIB },
    heapKib: 36,
  },
  'the second half of a blob of 1 MiB': {
    request: ['GET', blob(LARGE), { range: `bytes=${MIB / 2}-` }],
    status: 206,
    work: { stats: 2, opens: 1, reads: 1, readBytes: MIB / 2 },
    heapKib: 40,
  },
  'a manifest that the client has': {
    request: ['GET', `${REPOSITORY}/manifests/latest`, { 'if-none-match': `"${IMAGE.digest}"` }],
    status: 304,
    work: { stats: 1 },
    heapKib: 25,
  },
  'whether V2 is spoken': {
    request: ['GET', '/v2/'],
    work: {},
    heapKib: 37,
  },
  'the referrers of a manifest': {
    request: ['GET', `${REPOSITORY}/referrers/${IMAGE.digest}`],
    work: { stats: 4 },
    heapKib: 49,
  },
  'a page of 100 tags': {
    request: ['GET', '/v2/team/tags/tags/list?n=100&last=t010'],
    work: { stats: 1 },
    heapKib: 38,
  },
  'a page of 100 repositories': {
    request: ['GET', '/v2/_catalog?n=100&last=cat/r010'],
    work: { stats: 1 },
    heapKib: 38,
  },
  'the JSON of a V1 image': {
    request: ['GET', `${V1_IMAGE}/json`],
    work: { stats: 5, hashedBytes: 277 },
    heapKib: 52,
  },
  'the ancestry of a V1 image': {
    request: ['GET', `${V1_IMAGE}/ancestry`],
    work: { stats: 5, hashedBytes: 204 },
    heapKib: 52,
  },
  'the layer of a V1 image': {
    request: ['GET', `${V1_IMAGE}/layer`],
    work: { stats: 5 },
    heapKib: 52,
  },
  'the tags of a V1 repository': {
    request: ['GET', '/v1/repositories/team/app/tags'],
    work: { stats: 7 },
    heapKib: 71,
  },
  'the images of a V1 repository': {
    request: ['GET', '/v1/repositories/team/app/images'],
    work: { stats: 13 },
    heapKib: 112,
  },
};

/** Longer than a file must be untouched until what it says is kept in memory. */
const SETTLE_MS = 150;
const COUNTED = 10;
/** What the compiler does with code that gets hot must be over before bytes are weighed. */
const WARM_UP = 100;
const WEIGHED = 60;

async function seed(url: string): Promise<void> {
  const client = new V2Client(url);
  await client.pushImage('team/app', 'latest', IMAGE);
  for (const bytes of [SMALL, LARGE]) await client.pushBlob('team/app', bytes);
  const tiny = makeV2Image({ seed: 8, layers: 1, bytes: 10 });
  await client.pushImage('team/tags', 'latest', tiny);
  for (let n = 0; n < NUMBERED; n += 1) {
    const number = String(n).padStart(3, '0');
    const push = (name: string, tag: string) =>
      client.pushManifest(name, tag, tiny.manifest, tiny.mediaType);
    await push('team/tags', `t${number}`);
    for (const digest of tiny.blobs.keys())
      await client.mount(`cat/r${number}`, digest, 'team/tags');
    await push(`cat/r${number}`, 'latest');
  }
  // What V1 shows of an image is proved once, and kept.
  assert.equal((await client.call('GET', '/v1/repositories/team/app/tags')).status, 200);
}

/** The same request again and again on one connection, each answer with the status that is due. */
async function repeat(client: KeepAliveClient, read: Read, times: number): Promise<void> {
  const [method, path, headers] = read.request;
  for (let n = 0; n < times; n += 1) {
    const answer = await client.ask(method, path, { accept: '*/*', ...headers });
    assert.equal(answer.status, read.status ?? 200, answer.body.toString().slice(0, 300));
  }
}

describe('a read that was made before', { timeout: 120_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'work-'));
  const env = { REGISTRY_STORAGE_FILESYSTEM_FSYNC: 'false' };
  let counted: Awaited<ReturnType<typeof startCounted>>;
  let weighed: Awaited<ReturnType<typeof startWeighed>>;
  const clients: KeepAliveClient[] = [];
  const connect = (port: number) => {
    const client = new KeepAliveClient(port, 'work-test');
    clients.push(client);
    return client;
  };

  before(async () => {
    // Who takes pushes has work left for the background; who is measured only reads.
    const seeding = await startIsthmus({ storage: folder, env });
    await seed(seeding.url);
    await seeding.stop();
    // Lines of the access log are no two alike.
    counted = await startCounted(folder, { ...env, REGISTRY_LOG_ACCESSLOG_FORMAT: 'none' });
    weighed = await startWeighed(folder, env);
    await sleep(SETTLE_MS);
  });
  after(async () => {
    for (const client of clients) client.close();
    await Promise.all([counted.stop(), weighed.stop()]);
    rmSync(folder, { recursive: true });
  });

  for (const [name, read] of Object.entries(READS)) {
    it(`touches files and bytes no more than its budget: ${name}`, async () => {
      const client = connect(counted.port);
      await repeat(client, read, 2);
      const work = await counted.during(() => repeat(client, read, COUNTED));
      assert.deepEqual(excess(work, COUNTED, read.work), []);
    });

    it(`allocates no more than its budget: ${name}`, async () => {
      const client = connect(weighed.port);
      await repeat(client, read, WARM_UP);
      const bytes = await weighed.allocated(() => repeat(client, read, WEIGHED));
      const kib = bytes / WEIGHED / KIB;
      assert.ok(kib <= read.heapKib, `${kib.toFixed(1)} KiB, may be ${read.heapKib}`);
    });
  }
});
