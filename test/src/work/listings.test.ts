import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { jsonOf } from '../../support/http-client.ts';
import { KeepAliveClient } from '../../support/keep-alive-client.ts';
import { type Budget, excess } from '../../support/work/budget.ts';
import { addRepositories, addTags } from '../../support/work/filled-store.ts';
import { startCounted } from '../../support/work/measured-server.ts';

const TAGS = 2000;
const REPOSITORIES = 1000;
const PAGE = 100;
/** Longer than a directory must be untouched until its listing is kept. */
const SETTLE_MS = 150;

/** A look whether the directory has changed, for 100 tags as for one. */
const TAGS_PAGE: Budget = { stats: 1 };
/** A look whether there is another repository. */
const CATALOG_PAGE: Budget = { stats: 1 };

describe('listings of a large registry', { timeout: 60_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'work-'));
  let server: Awaited<ReturnType<typeof startCounted>>;
  let client: KeepAliveClient;

  before(async () => {
    addTags(folder, 'many/tags', TAGS);
    addRepositories(folder, REPOSITORIES);
    server = await startCounted(folder, {
      REGISTRY_LOG_ACCESSLOG_FORMAT: 'none',
      REGISTRY_STORAGE_FILESYSTEM_FSYNC: 'false',
    });
    client = new KeepAliveClient(server.port, 'work-test');
    await sleep(SETTLE_MS);
  });
  after(async () => {
    client.close();
    await server.stop();
    rmSync(folder, { recursive: true });
  });

  /** Every page from the first to the last; gives the names, and how many pages there were. */
  async function walk(path: string, key: string): Promise<{ names: string[]; pages: number }> {
    const names: string[] = [];
    let pages = 0;
    for (let next: string | undefined = `${path}?n=${PAGE}`; next !== undefined; pages += 1) {
      const answer = await client.ask('GET', next);
      names.push(...(jsonOf<Record<string, string[]>>(answer)[key] ?? []));
      next = /^<([^>]+)>/.exec(String(answer.headers.link ?? ''))?.[1];
    }
    return { names, pages };
  }

  async function workOfPage(path: string, key: string) {
    const first = await walk(path, key);
    const work = await server.during(async () => {
      assert.deepEqual(await walk(path, key), first);
    });
    return { ...first, work };
  }

  it('a page of tags costs the same, wherever it begins', async () => {
    const { names, pages, work } = await workOfPage('/v2/many/tags/tags/list', 'tags');
    assert.equal(names.length, TAGS);
    assert.deepEqual(excess(work, pages, TAGS_PAGE), []);
  });

  it('a page of the catalog costs the same, wherever it begins', async () => {
    const { names, pages, work } = await workOfPage('/v2/_catalog', 'repositories');
    assert.equal(names.length, REPOSITORIES + 1);
    assert.deepEqual(excess(work, pages, CATALOG_PAGE), []);
  });

  it('a new tag costs one more listing, and a new repository only those of what has changed', async () => {
    const manifest =
      '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}';
    const type = { 'content-type': 'application/vnd.oci.image.index.v1+json' };
    for (const path of ['/v2/many/tags/manifests/u1', '/v2/cat/s1/manifests/u1'])
      assert.equal((await client.ask('PUT', path, type, manifest)).status, 201);
    await sleep(SETTLE_MS);
    const tags = await server.during(async () => {
      assert.ok((await walk('/v2/many/tags/tags/list', 'tags')).names.includes('u1'));
    });
    const link = { opens: 1, reads: 1, readBytes: 71 };
    assert.deepEqual(excess(tags, 1, { listings: 1, stats: TAGS + 100, ...link }), []);
    const catalog = await server.during(async () => {
      assert.ok((await walk('/v2/_catalog', 'repositories')).names.includes('cat/s1'));
    });
    const record = { opens: 1, reads: 1, readBytes: 36 };
    assert.deepEqual(excess(catalog, 1, { listings: 4, stats: REPOSITORIES + 20, ...record }), []);
  });
});
