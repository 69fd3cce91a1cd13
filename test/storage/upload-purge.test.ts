import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { utimes } from 'node:fs/promises';
import { PassThrough } from 'node:stream';
import { before, describe, it } from 'node:test';
import { parseRepositoryName, parseUploadId } from '../../storage/names.ts';
import { purgeUploads } from '../../storage/upload-purge.ts';
import { send } from '../support/http-row.ts';
import { Pusher } from '../support/oci-content.ts';
import { useServer } from '../support/server.ts';

const DAY = 24 * 60 * 60 * 1000;

describe('purging uploads', () => {
  const server = useServer({ storage: 'filesystem' });
  const root = '/docker/registry/v2/repositories';
  const uploads = async (name: string): Promise<string[]> => {
    const ids: string[] = [];
    for await (const id of server.driver.list(`${root}/${name}/_uploads`)) ids.push(id);
    return ids;
  };
  const ago = (ms: number): Date => new Date(Date.now() - ms);
  /** An upload that began so long ago, and was last written to so long ago. */
  const upload = async (name: string, began?: number, written?: number): Promise<string> => {
    const id = randomUUID();
    const path = `${root}/${name}/_uploads/${id}`;
    if (began !== undefined) {
      const text = `${ago(began).toISOString().slice(0, 19)}Z`;
      await server.driver.put(`${path}/startedat`, text);
    }
    if (written !== undefined) {
      await server.driver.put(`${path}/data`, 'bytes');
      const file = server.driver.local?.filename(`${path}/data`) ?? '';
      await utimes(file, ago(written), ago(written));
    }
    return id;
  };
  const purge = async (name: string, dryRun = false): Promise<string[]> => {
    const all = await purgeUploads(server.content, { ageMs: 7 * DAY, dryRun });
    return all.filter((one) => one.repository === name).map((one) => one.id);
  };

  before(() => new Pusher(() => server.url).open('live'));

  it('takes those that began too long ago and received nothing since', async () => {
    const stale = await upload('one', 8 * DAY);
    const staleWithData = await upload('one', 9 * DAY, 8 * DAY);
    const young = await upload('one', 6 * DAY);
    const active = await upload('one', 9 * DAY, DAY);
    const purged = await purge('one');
    assert.deepEqual(purged.sort(), [stale, staleWithData].sort());
    assert.deepEqual(await uploads('one'), [young, active].sort());
  });

  it('says in a dry run what it would take, and takes nothing', async () => {
    const stale = await upload('two', 8 * DAY);
    assert.deepEqual(await purge('two', true), [stale]);
    assert.deepEqual(await uploads('two'), [stale]);
  });

  it('falls back to the time of the data where startedat is missing or torn', async () => {
    const missing = await upload('three', undefined, 8 * DAY);
    const torn = await upload('three', undefined, 8 * DAY);
    await server.driver.put(`${root}/three/_uploads/${torn}/startedat`, '');
    const young = await upload('three', undefined, DAY);
    assert.deepEqual((await purge('three')).sort(), [missing, torn].sort());
    assert.deepEqual(await uploads('three'), [young]);
  });

  it('leaves directories alone that are no uploads', async () => {
    await server.driver.put(`${root}/four/_uploads/notes/startedat`, '2001-01-01T00:00:00Z');
    assert.deepEqual(await purge('four'), []);
    assert.deepEqual(await uploads('four'), ['notes']);
  });

  it('leaves an upload alone that a request is writing to', async () => {
    const url = await new Pusher(() => server.url).open('five');
    const id = url.slice(url.lastIndexOf('/') + 1);
    const { uploads: writers } = server.content.repository(parseRepositoryName('five'));
    const source = new PassThrough();
    const writing = writers.append(parseUploadId(id), source);
    await new Promise((done) => setTimeout(done, 50));
    const everything = await purgeUploads(server.content, { ageMs: -1000, dryRun: false });
    assert.ok(everything.length > 0);
    assert.ok(everything.every((one) => one.id !== id));
    source.end('done');
    assert.equal(await writing, 4);
    assert.equal((await send(url)).status, 204);
  });
});
