import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { utimesSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { FilesystemDriver } from '../../storage/drivers/filesystem.ts';
import { takeLease } from '../../storage/lease.ts';

const PATH = '/records/lock';
const times = <T>(count: number, make: () => Promise<T>) =>
  Promise.all(Array.from({ length: count }, make));

describe('a lease', () => {
  let root: string;
  let workers: FilesystemDriver[];
  const first = () => workers[0] as FilesystemDriver;
  const filename = () => first().local.filename(PATH);
  /** A lock as another process wrote it. */
  const leave = (holder: unknown, ageMs = 0) =>
    first()
      .put(PATH, JSON.stringify(holder))
      .then(() => {
        const at = new Date(Date.now() - ageMs);
        utimesSync(filename(), at, at);
      });
  const dead = () => ({ host: hostname(), pid: spawnSync('true').pid, id: 'gone' });

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'isthmus-lease-'));
    workers = [1, 2, 3].map(() => new FilesystemDriver({ root, fsync: false }));
  });
  beforeEach(() => first().delete(PATH));
  after(() => rm(root, { recursive: true, force: true }));

  it('is held by one at a time, within a worker and among several', async () => {
    const taken = await Promise.all(
      [...workers, ...workers].map((driver) => takeLease(driver, PATH)),
    );
    const held = taken.filter((lease) => lease !== undefined);
    assert.equal(held.length, 1);
    await held[0]?.release();
    const next = await takeLease(workers[2] as FilesystemDriver, PATH);
    assert.equal(next?.contested, false);
    await next?.release();
  });

  it('is taken from a dead process at once, by exactly one of those who find it', async () => {
    for (let round = 0; round < 20; round += 1) {
      await leave(dead());
      const taken = (await times(4, () => Promise.all(workers.map((w) => takeLease(w, PATH)))))
        .flat()
        .filter((lease) => lease !== undefined);
      assert.equal(taken.length, 1);
      assert.equal(taken[0]?.contested, false);
      await taken[0]?.release();
    }
  });

  it('is respected while its holder elsewhere is heard of, and contested once it fell silent', async () => {
    const elsewhere = { host: 'another-node', pid: 1, id: 'someone' };
    await leave(elsewhere, 20_000);
    assert.equal(await takeLease(first(), PATH), undefined);
    await leave(elsewhere, 40_000);
    const lease = await takeLease(first(), PATH);
    assert.equal(lease?.contested, true);
    await lease?.release();
    assert.equal(first().local.stamp(PATH), undefined);
  });

  it('looks young however long ago the process took its first one', async () => {
    const early = await takeLease(first(), '/records/early');
    const later = await takeLease(first(), PATH);
    assert.ok(Date.now() - (first().local.stamp(PATH)?.modified ?? 0) < 6_000);
    await early?.release();
    assert.ok(first().local.stamp(PATH), 'the end of one lease ends no other');
    await later?.release();
  });
});
