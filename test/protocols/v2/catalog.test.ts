import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { check, jsonOf, send } from '../../support/http-row.ts';
import { image, Pusher, randomBlob } from '../../support/oci-content.ts';
import { useServer } from '../../support/server.ts';

for (const storage of ['memory', 'filesystem'] as const) {
  describe(`the catalog on the ${storage} driver`, () => {
    // By component: a/b stands before a-b, and nothing below 0… is lost.
    const names = ['a', 'a/0', 'a/b', 'a/b/c', 'a-b', 'a.b', 'b/1/2', 'z'];
    const server = useServer({ storage, limits: { catalogPage: 1000 } });
    const push = new Pusher(() => server.url);
    before(async () => {
      for (const name of [...names].reverse()) await push.image(name, image(), 'latest');
      await push.blob('only/blobs', randomBlob());
      await push.open('only/uploads');
    });
    const page = async (query: string): Promise<{ names: string[]; link: unknown }> => {
      const answer = await send(`${server.url}/v2/_catalog${query}`);
      check(answer, { status: 200, headers: { 'content-type': 'application/json' } });
      const { repositories } = jsonOf<{ repositories: string[] }>(answer);
      return { names: repositories, link: answer.headers.link };
    };

    it('lists repositories that have manifests, by component', async () => {
      assert.deepEqual(await page(''), { names, link: undefined });
    });

    it('pages through all of them', async () => {
      for (const n of [1, 2, 3, 8, 9]) {
        const seen: string[] = [];
        for (let query = `?n=${n}`; query !== ''; ) {
          const { names: some, link } = await page(query);
          assert.ok(some.length > 0 && some.length <= n);
          seen.push(...some);
          query = /^<\/v2\/_catalog(\?[^>]+)>; rel="next"$/.exec(String(link ?? ''))?.[1] ?? '';
        }
        assert.deepEqual(seen, names);
      }
    });

    it('writes last before n, escaped', async () => {
      const { link } = await page('?n=3');
      assert.equal(link, '</v2/_catalog?last=a%2Fb&n=3>; rel="next"');
    });

    it('begins after a last that need not exist', async () => {
      assert.deepEqual((await page('?last=a/b/b')).names, names.slice(3));
      assert.deepEqual((await page('?last=zz')).names, []);
    });

    it('gives nothing for n=0', async () => {
      assert.deepEqual(await page('?n=0'), { names: [], link: undefined });
    });

    it('names the number that it refuses', async () => {
      const answer = await send(`${server.url}/v2/_catalog?n=1001`);
      check(answer, {
        status: 400,
        code: 'PAGINATION_NUMBER_INVALID',
        body: /"detail":{"n":1001}/,
      });
      const text = await send(`${server.url}/v2/_catalog?n=abc`);
      check(text, { status: 400, body: /"detail":{"n":"abc"}/ });
    });

    it('keeps a repository whose tags and manifests are all deleted', async () => {
      const pushed = await push.image('emptied', image(), 'latest');
      const url = `${server.url}/v2/emptied/manifests/${pushed.digest}`;
      check(await send(url, { method: 'DELETE' }), { status: 202 });
      assert.ok((await page('')).names.includes('emptied'));
      const tags = await send(`${server.url}/v2/emptied/tags/list`);
      check(tags, { status: 200, json: { name: 'emptied', tags: [] } });
    });

    it('shows a new repository at once', async () => {
      await push.image('brand/new');
      assert.ok((await page('')).names.includes('brand/new'));
    });
  });
}
