import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { ContentStore } from '../../storage/content-store.ts';
import { digestOf } from '../../storage/digest.ts';
import { checked } from '../../storage/drivers/checked.ts';
import { FilesystemDriver } from '../../storage/drivers/filesystem.ts';
import { hasCode } from '../../storage/errors.ts';
import { parseRepositoryName, parseUploadId } from '../../storage/names.ts';

const name = parseRepositoryName('team/app');

describe('uploads, on two workers that share a store', () => {
  let root: string;
  let first: ContentStore;
  let second: ContentStore;
  const uploads = (store: ContentStore) => store.repository(name).uploads;
  const stream = (...chunks: Buffer[]) => Readable.from(chunks);

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'isthmus-uploads-'));
    const open = () => new ContentStore(checked(new FilesystemDriver({ root, fsync: false })));
    first = open();
    second = open();
  });
  after(() => rm(root, { recursive: true, force: true }));

  it('finishes on one what began on the other', async () => {
    const content = randomBytes(200_000);
    const id = await uploads(first).start();
    await uploads(first).append(id, stream(content.subarray(0, 50_000)), 0);
    await uploads(second).append(id, stream(content.subarray(50_000, 120_000)), 50_000);
    assert.equal(await uploads(first).offset(id), 120_000);
    const digest = digestOf(content);
    const blob = await uploads(first).finish(id, digest, stream(content.subarray(120_000)));
    assert.equal(blob.size, content.length);
    assert.ok(await second.repository(name).blobs.find(digest));
    assert.deepEqual(await second.blobs.get(digest), content);
    await assert.rejects(uploads(second).offset(id), (error) =>
      hasCode(error, 'BLOB_UPLOAD_UNKNOWN'),
    );
  });

  it('hashes again when bytes came that nobody noted', async () => {
    const content = randomBytes(10_000);
    const id = await uploads(first).start();
    await uploads(first).append(id, stream(content.subarray(0, 4_000)));
    await uploads(second).append(id, stream(content.subarray(4_000)));
    await uploads(first).finish(id, digestOf(content));
    assert.ok(await first.repository(name).blobs.find(digestOf(content)));
  });

  it('lets one writer at a time into an upload', async () => {
    const id = await uploads(first).start();
    const slow = new Readable({ read() {} });
    const writing = uploads(first).append(id, slow);
    await new Promise((done) => setTimeout(done, 20));
    for (const store of [first, second]) {
      const other = uploads(store).append(id, stream(Buffer.from('x')));
      await assert.rejects(other, (error) => hasCode(error, 'UPLOAD_BUSY'));
    }
    slow.push(Buffer.from('abc'));
    slow.push(null);
    assert.equal(await writing, 3);
    assert.equal(await uploads(second).append(id, stream(Buffer.from('d'))), 4);
  });

  it('says where the upload stands when a part begins elsewhere', async () => {
    const id = await uploads(first).start();
    await uploads(first).append(id, stream(Buffer.from('0123')));
    await assert.rejects(uploads(second).append(id, stream(Buffer.from('x')), 9), (error) => {
      assert.ok(hasCode(error, 'RANGE_INVALID'));
      assert.deepEqual(error.detail, { offset: 4 });
      return true;
    });
    assert.equal(await uploads(first).offset(id), 4);
  });

  it('stores nothing of content that does not match its digest', async () => {
    const digest = digestOf('something else');
    const id = await uploads(first).start();
    const finish = uploads(first).finish(id, digest, stream(Buffer.from('this')));
    await assert.rejects(finish, (error) => hasCode(error, 'DIGEST_INVALID'));
    assert.equal(await first.blobs.size(digest), undefined);
    assert.equal(await first.repository(name).blobs.find(digest), undefined);
    await assert.rejects(uploads(first).offset(id), (error) =>
      hasCode(error, 'BLOB_UPLOAD_UNKNOWN'),
    );
  });

  it('keeps what arrived of a part that broke off, and goes on from there', async () => {
    const content = randomBytes(300_000);
    const id = await uploads(first).start();
    const broken = new Readable({ read() {} });
    const part = uploads(first).append(id, broken);
    broken.push(content.subarray(0, 100_000));
    setTimeout(() => broken.destroy(new Error('gone')), 10);
    await assert.rejects(part, /gone/);
    assert.equal(await uploads(second).offset(id), 100_000);
    await uploads(second).finish(id, digestOf(content), stream(content.subarray(100_000)), 100_000);
    assert.ok(await first.repository(name).blobs.find(digestOf(content)));
  });

  it('takes sha512 digests and empty content', async () => {
    const content = randomBytes(1_000);
    const digest = digestOf(content, 'sha512');
    await uploads(first).receive(digest, stream(content));
    assert.ok(await second.repository(name).blobs.find(digest));
    await uploads(first).receive(digestOf(''), stream());
    assert.equal((await second.repository(name).blobs.find(digestOf('')))?.size, 0);
  });

  it('verifies bytes that a writer who lost its lease cannot change any more', async () => {
    const content = randomBytes(50_000);
    const id = await uploads(first).start();
    await uploads(first).append(id, stream(content));
    const folder = join(root, 'docker/registry/v2/repositories/team/app/_uploads', id);
    const silent = await open(join(folder, 'data'), 'a');
    const lock = join(folder, 'lock');
    await writeFile(lock, JSON.stringify({ host: 'another-node', pid: 1, id: 'someone' }));
    await assert.rejects(uploads(second).finish(id, digestOf(content)), (error) =>
      hasCode(error, 'UPLOAD_BUSY'),
    );
    const long = new Date(Date.now() - 60_000);
    await utimes(lock, long, long);
    await uploads(second).finish(id, digestOf(content));
    await silent.write('what comes too late');
    await silent.close();
    assert.deepEqual(await first.blobs.get(digestOf(content)), content);
    assert.equal(await first.blobs.size(digestOf(content)), content.length);
  });

  it('keeps nothing of an upload beside its blob', async () => {
    const content = randomBytes(5_000_000);
    const id = await uploads(first).start();
    await uploads(first).append(id, stream(content));
    await uploads(second).finish(id, digestOf(content));
    const hex = digestOf(content).slice('sha256:'.length);
    const blobs = join(root, 'docker/registry/v2/blobs/sha256');
    assert.deepEqual(await readdir(join(blobs, hex.slice(0, 2), hex)), ['data']);
  });

  it('takes an upload that distribution began, with its hash states, and content that is stored already', async () => {
    const content = randomBytes(9_000);
    const folders = join(root, 'docker/registry/v2/repositories/team/app/_uploads');
    for (let round = 0; round < 2; round += 1) {
      const id = randomUUID();
      await mkdir(join(folders, id, 'hashstates/sha256'), { recursive: true });
      await writeFile(join(folders, id, 'hashstates/sha256/9000'), 'state');
      await writeFile(join(folders, id, 'startedat'), '2026-01-02T03:04:05Z');
      await writeFile(join(folders, id, 'data'), content);
      await uploads(second).finish(parseUploadId(id), digestOf(content));
      assert.equal(existsSync(join(folders, id)), false);
      assert.deepEqual(await first.blobs.get(digestOf(content)), content);
    }
    const hex = digestOf(content).slice('sha256:'.length);
    const blobs = join(root, 'docker/registry/v2/blobs/sha256');
    assert.deepEqual(await readdir(join(blobs, hex.slice(0, 2), hex)), ['data']);
  });

  it('leaves nothing behind', async () => {
    const id = await uploads(first).start();
    await uploads(second).cancel(id);
    await assert.rejects(uploads(first).cancel(id), (error) =>
      hasCode(error, 'BLOB_UPLOAD_UNKNOWN'),
    );
    const failed = uploads(first).receive(digestOf('a'), stream(Buffer.from('b')));
    await assert.rejects(failed, (error) => hasCode(error, 'DIGEST_INVALID'));
    const path = join(root, 'docker/registry/v2/repositories/team/app/_uploads');
    const ids = await readdir(path);
    assert.ok(!ids.includes(id));
    // Two tests above leave their uploads open on purpose.
    assert.equal(ids.length, 2);
  });

  it('refuses ids that are no UUIDs', () => {
    for (const text of [
      '',
      '..',
      '../../x',
      'a'.repeat(36),
      '6BA7B810-9DAD-11D1-80B4-00C04FD430C8',
    ]) {
      assert.throws(
        () => parseUploadId(text),
        (error) => hasCode(error, 'BLOB_UPLOAD_UNKNOWN'),
      );
    }
  });
});

describe('a tag, on two workers that share a store', () => {
  it('is seen on one as soon as it was moved on the other', async () => {
    const root = await mkdtemp(join(tmpdir(), 'isthmus-tags-'));
    const stores = [0, 1, 2, 3].map(
      () => new ContentStore(checked(new FilesystemDriver({ root, fsync: false }))),
    );
    const digests = Array.from({ length: 50 }, (_, i) => digestOf(`manifest ${i}`));
    const tag = 'latest' as never;
    for (let i = 0; i < 400; i += 1) {
      const digest = digests[Math.floor(Math.random() * digests.length)] as never;
      await stores[i % 4]?.repository(name).tags.set(tag, digest);
      for (const store of stores) {
        assert.equal(await store.repository(name).tags.resolve(tag), digest);
      }
    }
    await stores[0]?.repository(name).tags.delete(tag);
    for (const store of stores)
      assert.equal(await store.repository(name).tags.resolve(tag), undefined);
    await rm(root, { recursive: true, force: true });
  });
});
