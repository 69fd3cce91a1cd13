import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { makeV2Image } from '../../support/images.ts';
import { KeepAliveClient } from '../../support/keep-alive-client.ts';
import { Seeded } from '../../support/seeded.ts';
import { makeLayer, sha256 } from '../../support/tar-layer.ts';
import { type Budget, excess } from '../../support/work/budget.ts';
import { startCounted, startWeighed } from '../../support/work/measured-server.ts';

const MIB = 1024 * 1024;
/** Content is hashed once, written once and never copied; the rest is of small records, such as the link. */
const ONCE = { hashedBytes: MIB, writtenBytes: MIB + 500, copiedBytes: 500 };
const TIMES = 5;
/** What the compiler does with code that gets hot must be over before bytes are weighed. */
const WARM_UP = 40;
/** So little that content does not make the server collect; what else it does is left out by the least of several. */
const WEIGHED_BYTES = MIB / 4;
const WEIGHED = 8;
const WEIGHINGS = 3;
const UPLOADS = '/v2/team/app/blobs/uploads/';
const IMAGE = makeV2Image({ seed: 3, layers: 2 });

const UNCHANGED = 'a manifest that is there under this tag';

interface Push {
  /** Makes one push that the store has not seen; `n` counts them, `size` is that of a layer. */
  push(client: KeepAliveClient, n: number, size: number): Promise<void>;
  /** KiB that the server may allocate on the heap with a layer of 256 KiB; a quarter above what Node 20 did. */
  heapKib: number;
  /** What it may cost where content is flushed to disk; nothing is where fsync is off. */
  work: Budget;
}

const withDigest = (location: unknown, digest: string) =>
  `${location}${String(location).includes('?') ? '&' : '?'}digest=${digest}`;

async function ask(
  client: KeepAliveClient,
  status: number,
  ...request: Parameters<KeepAliveClient['ask']>
) {
  const answer = await client.ask(...request);
  assert.equal(answer.status, status, `${request[0]} ${request[1]}: ${answer.body}`);
  return answer.headers;
}

/** Content that is pushed here for the first time. */
const fresh = (seed: number, size: number) => new Seeded(seed).bytes(size);

const AGENT = { 'user-agent': 'docker/1.6.0' };

const v1Id = (n: number) => sha256(`${n}`).slice('sha256:'.length);

function v1Image(n: number, size: number, below?: number) {
  const id = v1Id(n);
  const parent = below === undefined ? {} : { parent: v1Id(below) };
  const json = Buffer.from(JSON.stringify({ id, ...parent, created: '2014-06-01T00:00:00Z' }));
  const layer = makeLayer([{ name: 'file', content: fresh(4000 + n, size) }], 'tar').bytes;
  return { id, json, layer };
}

async function pushV1Image(
  client: KeepAliveClient,
  { id, json, layer }: ReturnType<typeof v1Image>,
): Promise<void> {
  const sum = sha256(Buffer.concat([json, Buffer.from('\n'), layer]));
  const image = `/v1/images/${id}`;
  await ask(client, 200, 'PUT', `${image}/json`, AGENT, json);
  await ask(client, 200, 'PUT', `${image}/layer`, AGENT, layer);
  await ask(client, 200, 'PUT', `${image}/checksum`, {
    ...AGENT,
    'x-docker-checksum-payload': sum,
  });
}

const V1_IMAGE: Budget = {
  opens: 13,
  stats: 25,
  reads: 3,
  readBytes: 1200,
  writes: 6,
  flushes: 6,
  renames: 1,
  links: 3,
  removals: 5,
  directories: 3,
  listings: 1,
  writtenBytes: MIB + 4000,
  copiedBytes: 2500,
};

/** Every way in which layers and manifests come. Lower a budget when a push gets cheaper; never raise it unseen. */
const PUSH_BUDGETS: Record<string, Push> = {
  'a blob of 1 MiB, POST and PUT': {
    heapKib: 122,
    async push(client, n, size) {
      const bytes = fresh(1000 + n, size);
      const { location } = await ask(client, 202, 'POST', UPLOADS);
      await ask(client, 201, 'PUT', withDigest(location, sha256(bytes)), {}, bytes);
    },
    work: {
      opens: 9,
      stats: 13,
      writes: 4,
      flushes: 7,
      renames: 2,
      links: 2,
      removals: 2,
      directories: 3,
      listings: 1,
      ...ONCE,
    },
  },
  'a blob of 1 MiB in one POST': {
    heapKib: 65,
    async push(client, n, size) {
      const bytes = fresh(2000 + n, size);
      await ask(client, 201, 'POST', withDigest(UPLOADS, sha256(bytes)), {}, bytes);
    },
    work: {
      opens: 9,
      stats: 7,
      writes: 4,
      flushes: 7,
      renames: 2,
      directories: 3,
      listings: 1,
      ...ONCE,
    },
  },
  'a blob of 1 MiB, POST, PATCH and PUT': {
    heapKib: 149,
    async push(client, n, size) {
      const bytes = fresh(3000 + n, size);
      const { location } = await ask(client, 202, 'POST', UPLOADS);
      const next = await ask(client, 202, 'PATCH', String(location), {}, bytes);
      await ask(client, 201, 'PUT', withDigest(next.location, sha256(bytes)));
    },
    work: {
      opens: 9,
      stats: 17,
      writes: 4,
      flushes: 7,
      renames: 2,
      links: 3,
      removals: 3,
      directories: 3,
      listings: 1,
      ...ONCE,
    },
  },
  'a blob of 1 MiB as docker sends it, in one PATCH of chunks': {
    heapKib: 165,
    async push(client, n, size) {
      const bytes = fresh(5000 + n, size);
      const { location } = await ask(client, 202, 'POST', UPLOADS);
      const coding = { 'transfer-encoding': 'chunked' };
      const next = await ask(client, 202, 'PATCH', String(location), coding, bytes);
      await ask(client, 201, 'PUT', withDigest(next.location, sha256(bytes)));
    },
    work: {
      opens: 9,
      stats: 18,
      writes: 4,
      flushes: 7,
      renames: 2,
      links: 3,
      removals: 3,
      directories: 3,
      listings: 1,
      ...ONCE,
    },
  },
  'a blob of 1 MiB in four PATCHes': {
    heapKib: 294,
    async push(client, n, size) {
      const bytes = fresh(6000 + n, size);
      let { location } = await ask(client, 202, 'POST', UPLOADS);
      for (let at = 0; at < size; at += size / 4) {
        const end = at + size / 4;
        const range = { 'content-range': `${at}-${end - 1}` };
        const part = bytes.subarray(at, end);
        ({ location } = await ask(client, 202, 'PATCH', String(location), range, part));
      }
      await ask(client, 201, 'PUT', withDigest(location, sha256(bytes)));
    },
    work: {
      opens: 12,
      stats: 33,
      writes: 6,
      flushes: 8,
      renames: 2,
      links: 6,
      removals: 6,
      directories: 3,
      listings: 1,
      ...ONCE,
    },
  },
  'a mount': {
    heapKib: 45,
    async push(client, n) {
      const [digest] = IMAGE.blobs.keys();
      const to = `/v2/team/mounted-${n}/blobs/uploads/`;
      await ask(client, 201, 'POST', `${to}?mount=${digest}&from=team/app`);
    },
    work: { opens: 6, stats: 4, reads: 1, readBytes: 71, flushes: 5, links: 1, directories: 1 },
  },
  'a manifest under a new tag': {
    heapKib: 107,
    async push(client, n) {
      const bytes = Buffer.from(
        IMAGE.manifest.toString().replace('{', `{ "annotations": {"n": "${n}"},`),
      );
      const type = { 'content-type': IMAGE.mediaType };
      await ask(client, 201, 'PUT', `/v2/team/app/manifests/v${n}`, type, bytes);
    },
    // The mounts above have touched the link that they repeat, which is read again for it.
    work: {
      opens: 16,
      stats: 14,
      reads: 1,
      readBytes: 71,
      writes: 3,
      flushes: 15,
      renames: 4,
      links: 1,
      directories: 4,
      writtenBytes: 1000,
      hashedBytes: 1600,
      copiedBytes: 800,
    },
  },
  [UNCHANGED]: {
    heapKib: 66,
    async push(client) {
      const type = { 'content-type': IMAGE.mediaType };
      await ask(client, 201, 'PUT', '/v2/team/app/manifests/latest', type, IMAGE.manifest);
    },
    work: { opens: 2, stats: 10, reads: 2, readBytes: 142, hashedBytes: 1500, copiedBytes: 800 },
  },
  'a V1 image of 1 MiB: JSON, layer, checksum': {
    heapKib: 230,
    push: (client, n, size) => pushV1Image(client, v1Image(n, size)),
    // Hashed for the blob, for the sum with the JSON, and for the tarsum. The shards of a young store are new.
    work: { ...V1_IMAGE, hashedBytes: 3 * MIB + 5000 },
  },
  'a V1 image of 1 MiB on one whose client sent no tarsum': {
    heapKib: 214,
    push: (client, n, size) => pushV1Image(client, v1Image(1000 + n, size, n)),
    work: { ...V1_IMAGE, stats: 32, hashedBytes: 2 * MIB + 5000 },
  },
  'a tag of two V1 images': {
    heapKib: 412,
    async push(client, n) {
      const path = `/v1/repositories/team/old-${n}/tags/latest`;
      await ask(client, 200, 'PUT', path, AGENT, JSON.stringify(v1Id(1000 + n)));
    },
    // Config, two manifests and all their links, in a repository that is new.
    work: {
      opens: 65,
      stats: 46,
      reads: 4,
      readBytes: 300,
      writes: 17,
      flushes: 60,
      renames: 16,
      links: 5,
      removals: 2,
      directories: 17,
      writtenBytes: 3500,
      hashedBytes: 7000,
      copiedBytes: 1200,
    },
  },
};

for (const fsync of [true, false]) {
  describe(`a push, with fsync ${fsync ? 'on' : 'off'}`, { timeout: 60_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'work-'));
    const server = await startCounted(folder, {
      REGISTRY_LOG_ACCESSLOG_FORMAT: 'none',
      ...(!fsync && { REGISTRY_STORAGE_FILESYSTEM_FSYNC: 'false' }),
    });
    const client = new KeepAliveClient(server.port, 'work-test');
    after(async () => {
      client.close();
      await server.stop();
      rmSync(folder, { recursive: true });
    });
    for (const [digest, bytes] of IMAGE.blobs) {
      await ask(client, 201, 'POST', withDigest(UPLOADS, digest), {}, bytes);
    }
    for (const [name, { push, work: budget }] of Object.entries(PUSH_BUDGETS)) {
      it(`touches files and bytes no more than its budget: ${name}`, async () => {
        await push(client, 0, MIB);
        const work = await server.during(async () => {
          for (let n = 1; n <= TIMES; n += 1) await push(client, n, MIB);
        });
        const allowed = fsync ? budget : { ...budget, flushes: 0 };
        assert.deepEqual(excess(work, TIMES, allowed), []);
        if (fsync && name !== UNCHANGED) assert.ok(work.flushes >= TIMES, 'nothing was flushed');
      });
    }
  });
}

describe('a push', { timeout: 60_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'work-'));
  const server = await startWeighed(folder, { REGISTRY_STORAGE_FILESYSTEM_FSYNC: 'false' });
  const client = new KeepAliveClient(server.port, 'work-test');
  after(async () => {
    client.close();
    await server.stop();
    rmSync(folder, { recursive: true });
  });
  for (const [digest, bytes] of IMAGE.blobs) {
    await ask(client, 201, 'POST', withDigest(UPLOADS, digest), {}, bytes);
  }
  for (const [name, { push, heapKib }] of Object.entries(PUSH_BUDGETS)) {
    it(`allocates no more than its budget: ${name}`, async () => {
      let n = 0;
      const times = async (count: number) => {
        for (const end = n + count; n < end; n++) await push(client, n, WEIGHED_BYTES);
      };
      await times(WARM_UP);
      const bytes: number[] = [];
      for (let weighing = 0; weighing < WEIGHINGS; weighing++) {
        bytes.push(await server.allocated(() => times(WEIGHED)));
      }
      const kib = Math.min(...bytes) / WEIGHED / 1024;
      assert.ok(kib <= heapKib, `${kib.toFixed(1)} KiB, may be ${heapKib}`);
    });
  }
});
