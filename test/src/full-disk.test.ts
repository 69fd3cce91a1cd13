import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { StorageDriver } from '../../storage/driver.ts';
import { FilesystemDriver } from '../../storage/drivers/filesystem.ts';
import { MemoryDriver } from '../../storage/drivers/memory.ts';
import { storageError } from '../../storage/errors.ts';
import { type RunningServer, serveApp } from '../support/app-server.ts';
import { collectingLog } from '../support/collecting-log.ts';
import { type Answer, jsonOf } from '../support/http-client.ts';
import { makeV1Chain, makeV2Image } from '../support/images.ts';
import { sha256 } from '../support/tar-layer.ts';
import { V1Client } from '../support/v1-client.ts';
import { V2Client } from '../support/v2-client.ts';

const MIB = 1024 * 1024;

function expectRefusal(answer: Answer, status: 503 | 507, reason: RegExp): void {
  assert.equal(answer.status, status, answer.body.toString());
  const { errors } = jsonOf<{ errors: { code: string; message: string }[] }>(answer);
  assert.equal(errors[0]?.code, 'UNAVAILABLE');
  assert.match(errors[0]?.message ?? '', reason);
}

function expectFull(answer: Answer): void {
  expectRefusal(answer, 507, /storage of this registry is full/);
}

async function putBlob(client: V2Client, bytes: Buffer): Promise<Answer> {
  const started = await client.call('POST', '/v2/team/app/blobs/uploads/');
  if (started.status !== 202) return started;
  const location = `${started.headers.location}`;
  const url = `${location}${location.includes('?') ? '&' : '?'}digest=${sha256(bytes)}`;
  return client.call('PUT', url, { 'content-type': 'application/octet-stream' }, bytes);
}

/** Only root may mount; elsewhere a driver that throws stands for the disk. */
const mayMount = process.getuid?.() === 0 && canMount();

function canMount(): boolean {
  try {
    execFileSync('unshare', ['--mount', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

interface Disk {
  driver: StorageDriver;
  fill(): Promise<void>;
  free(): Promise<void>;
  protect(): Promise<void>;
  unprotect(): Promise<void>;
  end(): Promise<void>;
}

async function tinyDisk(): Promise<Disk> {
  const folder = await mkdtemp(join(tmpdir(), 'isthmus-full-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'isthmus-test', folder]);
  const ballast = join(folder, 'ballast');
  return {
    driver: new FilesystemDriver({ root: folder }),
    fill: async () => {
      for (let size = MIB; size >= 1024; size /= 2) {
        for (let more = true; more; ) {
          more = await writeFile(ballast, Buffer.alloc(size), { flag: 'a' }).then(
            () => true,
            () => false,
          );
        }
      }
    },
    free: () => rm(ballast, { force: true }),
    protect: async () => void execFileSync('mount', ['-o', 'remount,ro', folder]),
    unprotect: async () => void execFileSync('mount', ['-o', 'remount,rw', folder]),
    end: async () => {
      execFileSync('umount', [folder]);
      await rmdir(folder);
    },
  };
}

async function pretendedDisk(): Promise<Disk> {
  const driver = new MemoryDriver();
  let trouble: 'full' | 'read-only' | undefined;
  const refuse = () => {
    if (trouble === undefined) return;
    const code = trouble === 'full' ? 'STORAGE_FULL' : 'STORAGE_UNWRITABLE';
    throw storageError(
      code,
      `the storage of this registry is ${trouble}${trouble === 'full' ? '' : ' at the moment; try again later'}`,
    );
  };
  const say = (what: typeof trouble) => async () => {
    trouble = what;
  };
  const { put, append } = { put: driver.put.bind(driver), append: driver.append.bind(driver) };
  driver.put = async (...args) => {
    refuse();
    return put(...args);
  };
  driver.append = async (...args) => {
    refuse();
    return append(...args);
  };
  return {
    driver,
    fill: say('full'),
    free: say(undefined),
    protect: say('read-only'),
    unprotect: say(undefined),
    end: async () => {},
  };
}

describe(`a disk without space (${mayMount ? 'tmpfs' : 'pretended'})`, () => {
  let disk: Disk;
  let server: RunningServer;
  let client: V2Client;
  const log = collectingLog();
  const image = makeV2Image({ seed: 31, layers: 2 });

  before(async () => {
    disk = await (mayMount ? tinyDisk() : pretendedDisk());
    server = await serveApp(disk.driver, {}, { log });
    client = new V2Client(server.url);
    await client.pushImage('team/app', 'v1', image);
  });
  after(async () => {
    await server.stop();
    await disk.end();
  });

  it('refuses a blob with 507 and a clear message, keeps serving, and heals', async () => {
    await disk.fill();
    const bytes = randomBytes(MIB);
    expectFull(await putBlob(client, bytes));
    assert.equal(await client.hasBlob('team/app', sha256(bytes)), false);
    await client.expectImage('team/app', 'v1', image);
    await disk.free();
    assert.equal((await putBlob(client, bytes)).status, 201);
    assert.deepEqual(await client.pullBlob('team/app', sha256(bytes)), bytes);
  });

  it('refuses a manifest with 507 and leaves the tag as it was', async () => {
    const next = makeV2Image({ seed: 32, layers: 1 });
    for (const { bytes } of next.layers) await client.pushBlob('team/app', bytes);
    await client.pushBlob('team/app', next.config);
    await disk.fill();
    const path = '/v2/team/app/manifests/v1';
    const headers = { 'content-type': next.mediaType };
    expectFull(await client.call('PUT', path, headers, next.manifest));
    await client.expectImage('team/app', 'v1', image);
    await disk.free();
    assert.equal((await client.call('PUT', path, headers, next.manifest)).status, 201);
    await client.expectImage('team/app', 'v1', next);
    assert.deepEqual(await client.tags('team/app'), ['v1']);
  });

  it('resumes an upload that ran out of space where it stood', async () => {
    const bytes = randomBytes(MIB);
    let location = await client.startUpload('team/app');
    location = await client.sendChunk(location, 0, bytes.subarray(0, 1000));
    await disk.fill();
    const rest = bytes.subarray(1000);
    const chunk = {
      'content-range': `1000-${bytes.length - 1}`,
      'content-type': 'application/octet-stream',
    };
    expectFull(await client.call('PATCH', location, chunk, rest));
    await disk.free();
    const offset = await client.uploadOffset(location);
    assert.ok(offset >= 1000);
    await client.finishUpload(location, sha256(bytes), bytes.subarray(offset));
    assert.deepEqual(await client.pullBlob('team/app', sha256(bytes)), bytes);
  });

  it('that became read-only refuses writes with 503, serves reads, and takes writes again later', async () => {
    const bytes = randomBytes(1000);
    await disk.protect();
    expectRefusal(await putBlob(client, bytes), 503, /read-only/);
    await client.pullManifest('team/app', 'v1');
    await disk.unprotect();
    assert.equal((await putBlob(client, bytes)).status, 201);
  });

  it('refuses a V1 push in the form of V1, without a half image, and takes it again later', async () => {
    const engine = new V1Client(server.url, '1.5.0');
    const chain = makeV1Chain({ seed: 33, layers: 2 });
    await disk.fill();
    await assert.rejects(engine.push('team/old', 'v1', chain), /storage of this registry is full/);
    const tag = await client.call('GET', '/v1/repositories/team/old/tags/v1');
    assert.equal(tag.status, 404);
    await disk.free();
    await disk.protect();
    const json = await client.call('PUT', '/v1/repositories/team/old/', {}, Buffer.from('[]'));
    assert.equal(json.status, 503, json.body.toString());
    assert.deepEqual(jsonOf(json), {
      error: 'the storage of this registry is read-only at the moment; try again later',
    });
    await disk.unprotect();
    await engine.push('team/old', 'v1', chain);
    const pulled = await engine.pull('team/old', 'v1');
    assert.equal(pulled.images.length, 2);
  });

  it('is told to the operator, with what the system said', () => {
    const causes = log.lines
      .filter(({ event }) => event === 'the storage refused')
      .map(({ fields }) => String(fields.cause));
    const seen = (code: string) => causes.some((cause) => cause.startsWith(code));
    if (mayMount) assert.deepEqual([seen('ENOSPC'), seen('EROFS')], [true, true]);
    else assert.ok(causes.length > 3);
  });

  it('leaves nothing but what is whole', async () => {
    for await (const algorithm of disk.driver.list('/docker/registry/v2/blobs'))
      for await (const shard of disk.driver.list(`/docker/registry/v2/blobs/${algorithm}`))
        for await (const hex of disk.driver.list(
          `/docker/registry/v2/blobs/${algorithm}/${shard}`,
        )) {
          const data = `/docker/registry/v2/blobs/${algorithm}/${shard}/${hex}/data`;
          assert.equal(sha256(await disk.driver.get(data)), `${algorithm}:${hex}`);
        }
  });
});
