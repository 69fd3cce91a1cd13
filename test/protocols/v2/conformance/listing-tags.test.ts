import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { type Answer, check, headerOf, jsonOf, send } from '../../../support/http-row.ts';
import { Pusher } from '../../../support/oci-content.ts';
import { follow } from '../../../support/pages.ts';
import { describeRequirements } from '../../../support/requirements.ts';
import { useServer } from '../../../support/server.ts';

interface TagList {
  name: string;
  tags: string[];
}

describe('OCI distribution-spec, category Content Discovery: tags', () => {
  const server = useServer({ storage: 'filesystem' });
  const push = new Pusher(() => server.url);
  const tagged = ['B', 'a', 'a-1', 'a.1', 'b', 'c', 'z'];

  const get = (path: string): Promise<Answer> => send(server.url + path);
  let counter = 0;
  const fresh = (): string => {
    counter += 1;
    return `discovery/r${counter}`;
  };
  const withTags = async (): Promise<string> => {
    const name = fresh();
    const pushed = await push.image(name);
    for (const tag of [...tagged].reverse()) await push.manifest(name, pushed, tag);
    return name;
  };
  const tagsAt = async (path: string): Promise<string[]> => {
    const answer = await get(path);
    check(answer, { status: 200, headers: { 'content-type': 'application/json' } });
    return jsonOf<TagList>(answer).tags;
  };

  describeRequirements('listing tags', [
    {
      section: 'Listing Tags',
      level: 'MUST',
      says: 'all tags in ASCIIbetical order, with the name',
      check: async () => {
        const name = await withTags();
        check(await get(`/v2/${name}/tags/list`), { status: 200, json: { name, tags: tagged } });
      },
    },
    {
      section: 'Listing Tags',
      level: 'MUST',
      says: 'a repository without tags is 200 with an empty list',
      check: async () => {
        const name = fresh();
        await push.image(name);
        check(await get(`/v2/${name}/tags/list`), { status: 200, json: { name, tags: [] } });
      },
    },
    {
      section: 'Listing Tags',
      level: 'MUST',
      says: 'an unknown repository is 404',
      check: async () => {
        const answer = await get('/v2/nobody/knows/tags/list');
        check(answer, { status: 404, code: 'NAME_UNKNOWN' });
      },
    },
    {
      section: 'Limiting the Number of Returned Tags',
      level: 'MUST',
      says: 'n gives that many from the start, and a Link while more follow',
      check: async () => {
        const name = await withTags();
        const answer = await get(`/v2/${name}/tags/list?n=3`);
        check(answer, { status: 200, json: { name, tags: tagged.slice(0, 3) } });
        assert.equal(headerOf(answer, 'link'), `</v2/${name}/tags/list?last=a-1&n=3>; rel="next"`);
      },
    },
    {
      section: 'Limiting the Number of Returned Tags',
      level: 'MUST',
      says: 'n=0 is an empty list without Link',
      check: async () => {
        const name = await withTags();
        const answer = await get(`/v2/${name}/tags/list?n=0`);
        check(answer, { status: 200, json: { name, tags: [] }, headers: { link: null } });
      },
    },
    {
      section: 'Limiting the Number of Returned Tags',
      level: 'MUST',
      says: 'a full last page and a larger n have no Link',
      check: async () => {
        const name = await withTags();
        for (const n of [tagged.length, tagged.length + 1, 1_000_000]) {
          const answer = await get(`/v2/${name}/tags/list?n=${n}`);
          check(answer, { status: 200, json: { name, tags: tagged }, headers: { link: null } });
        }
      },
    },
    {
      section: 'Limiting the Number of Returned Tags',
      level: 'WE',
      says: 'an n that is no number is 400',
      check: async () => {
        const name = await withTags();
        for (const n of ['-1', 'x', '1.5', '1e3', '0x10', '9'.repeat(40)]) {
          const answer = await get(`/v2/${name}/tags/list?n=${n}`);
          check(answer, { status: 400, code: 'PAGINATION_NUMBER_INVALID' });
        }
      },
    },
    {
      section: 'Paginating with the last Parameter',
      level: 'MUST',
      says: 'tags after last, which itself is not in the list and need not exist',
      check: async () => {
        const path = `/v2/${await withTags()}/tags/list`;
        assert.deepEqual(await tagsAt(`${path}?last=a-1`), tagged.slice(3));
        assert.deepEqual(await tagsAt(`${path}?last=a-1&n=2`), tagged.slice(3, 5));
        assert.deepEqual(await tagsAt(`${path}?last=bb`), ['c', 'z']);
        assert.deepEqual(await tagsAt(`${path}?last=zz`), []);
      },
    },
    {
      section: 'Paginating with the last Parameter',
      level: 'SHOULD',
      says: 'the Links lead through every tag exactly once',
      check: async () => {
        const name = await withTags();
        for (const n of [1, 2, 3, 7]) {
          const pages = await follow(server.url, `/v2/${name}/tags/list?n=${n}`);
          assert.deepEqual(
            pages.flatMap((page) => jsonOf<TagList>(page).tags),
            tagged,
          );
          assert.equal(pages.length, Math.ceil(tagged.length / n));
        }
      },
    },
  ]);
});
