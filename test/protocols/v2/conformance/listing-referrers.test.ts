import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { type Answer, check, jsonOf, send } from '../../../support/http-row.ts';
import {
  type Described,
  describe as described,
  digest,
  image,
  index,
  OCI_INDEX,
  OCI_MANIFEST,
  Pusher,
  randomBlob,
} from '../../../support/oci-content.ts';
import { follow } from '../../../support/pages.ts';
import { describeRequirements } from '../../../support/requirements.ts';
import { useServer } from '../../../support/server.ts';

interface Referrers {
  schemaVersion: number;
  mediaType: string;
  manifests: {
    mediaType: string;
    digest: string;
    size: number;
    artifactType?: string;
    annotations?: Record<string, string>;
  }[];
}

describe('OCI distribution-spec, category Content Discovery: referrers', () => {
  const server = useServer({ storage: 'filesystem' });
  const push = new Pusher(() => server.url);

  const get = (path: string): Promise<Answer> => send(server.url + path);
  let counter = 0;
  const fresh = (): string => {
    counter += 1;
    return `discovery/r${counter}`;
  };
  const referrersOf = async (name: string, of: string, query = ''): Promise<Referrers> => {
    const answer = await get(`/v2/${name}/referrers/${of}${query}`);
    check(answer, { status: 200, headers: { 'content-type': OCI_INDEX } });
    const list = jsonOf<Referrers>(answer);
    assert.equal(list.schemaVersion, 2);
    assert.equal(list.mediaType, OCI_INDEX);
    return list;
  };
  const subjectOf = ({ mediaType, digest: of, size }: Described) => ({
    subject: { mediaType, digest: of, size },
  });
  const push2 = async (name: string, fields: Record<string, unknown>, config?: Described) => {
    return push.image(name, image({ ...(config && { config }), fields }));
  };

  describeRequirements('listing referrers', [
    {
      section: 'Listing Referrers',
      level: 'MUST',
      says: 'a digest that nothing refers to is 200 with an empty index, in any repository',
      check: async () => {
        const name = fresh();
        assert.deepEqual((await referrersOf(name, digest('x'))).manifests, []);
        await push.image(name);
        assert.deepEqual((await referrersOf(name, digest('x'))).manifests, []);
        assert.deepEqual((await referrersOf(name, digest('x', 'sha512'))).manifests, []);
      },
    },
    {
      section: 'Listing Referrers',
      level: 'MUST',
      says: 'a malformed digest is 400',
      check: async () => {
        const answer = await get(`/v2/${fresh()}/referrers/sha256:nope`);
        check(answer, { status: 400, code: 'DIGEST_INVALID' });
      },
    },
    {
      section: 'Listing Referrers',
      level: 'MUST',
      says: 'descriptors have artifactType and annotations as the manifests do',
      check: async () => {
        const name = fresh();
        const subject = await push.image(name);
        const annotations = { 'org.example.test': 'value' };
        const nothing = described('{}', 'application/vnd.oci.empty.v1+json');
        const typed = await push2(
          name,
          { ...subjectOf(subject), artifactType: 'a/typed', annotations },
          nothing,
        );
        const byConfig = await push2(name, subjectOf(subject), randomBlob(20, 'a/by-config'));
        const list = index([typed], { ...subjectOf(subject), annotations });
        await push.manifest(name, list);
        const { manifests } = await referrersOf(name, subject.digest);
        const described2 = ({ mediaType, digest: of, size }: Described) => ({
          mediaType,
          digest: of,
          size,
        });
        const expected = [
          { ...described2(typed), artifactType: 'a/typed', annotations },
          { ...described2(byConfig), artifactType: 'a/by-config' },
          { ...described2(list), annotations },
        ].sort((a, b) => (a.digest < b.digest ? -1 : 1));
        assert.deepEqual(manifests, expected);
      },
    },
    {
      section: 'Listing Referrers',
      level: 'MUST',
      says: 'referrers of a subject that is not there are listed',
      check: async () => {
        const name = fresh();
        const missing = image();
        const referrer = await push2(name, subjectOf(missing));
        const { manifests } = await referrersOf(name, missing.digest);
        assert.deepEqual(
          manifests.map((one) => one.digest),
          [referrer.digest],
        );
      },
    },
    {
      section: 'Listing Referrers',
      level: 'MUST',
      says: 'sha512 subjects and sha512 referrers are listed',
      check: async () => {
        const name = fresh();
        const subject = await push.image(name, image({ algorithm: 'sha512' }));
        const referrer = await push.image(
          name,
          image({ algorithm: 'sha512', fields: subjectOf(subject) }),
        );
        const { manifests } = await referrersOf(name, subject.digest);
        assert.deepEqual(
          manifests.map((one) => one.digest),
          [referrer.digest],
        );
      },
    },
    {
      section: 'Listing Referrers',
      level: 'MUST',
      says: 'a deleted referrer leaves the list at once, and comes back when it is pushed again',
      check: async () => {
        const name = fresh();
        const subject = await push.image(name);
        const referrer = await push2(name, subjectOf(subject));
        const url = `${server.url}/v2/${name}/manifests/${referrer.digest}`;
        assert.equal((await referrersOf(name, subject.digest)).manifests.length, 1);
        check(await send(url, { method: 'DELETE' }), { status: 202 });
        assert.equal((await referrersOf(name, subject.digest)).manifests.length, 0);
        await push.manifest(name, referrer);
        assert.equal((await referrersOf(name, subject.digest)).manifests.length, 1);
      },
    },
    {
      section: 'Listing Referrers',
      level: 'WE',
      says: 'HEAD answers as GET does, without the body',
      check: async () => {
        const url = `${server.url}/v2/${fresh()}/referrers/${digest('x')}`;
        const answer = await send(url, { method: 'HEAD' });
        check(answer, { status: 200, body: '', headers: { 'content-type': OCI_INDEX } });
      },
    },
    {
      section: 'Filtering by artifactType',
      level: 'SHOULD',
      says: 'only that type, and OCI-Filters-Applied says so',
      check: async () => {
        const name = fresh();
        const subject = await push.image(name);
        const wanted = await push2(name, { ...subjectOf(subject), artifactType: 'a/b+c' });
        await push2(name, { ...subjectOf(subject), artifactType: 'a/other' });
        const path = `/v2/${name}/referrers/${subject.digest}`;
        const filtered = await get(`${path}?artifactType=${encodeURIComponent('a/b+c')}`);
        check(filtered, { status: 200, headers: { 'oci-filters-applied': 'artifactType' } });
        assert.deepEqual(
          jsonOf<Referrers>(filtered).manifests.map((one) => one.digest),
          [wanted.digest],
        );
        check(await get(path), { status: 200, headers: { 'oci-filters-applied': null } });
      },
    },
    {
      section: 'Listing Referrers: Pagination',
      level: 'MUST',
      says: 'the Links lead through every referrer exactly once, keeping the filter',
      check: async () => {
        const name = fresh();
        const subject = await push.image(name);
        const all: string[] = [];
        for (let at = 0; at < 5; at += 1) {
          const one = await push2(name, { ...subjectOf(subject), artifactType: 'a/paged' });
          all.push(one.digest);
        }
        const path = `/v2/${name}/referrers/${subject.digest}?n=2&artifactType=a%2Fpaged`;
        const pages = await follow(server.url, path);
        assert.deepEqual(
          pages.map((page) => jsonOf<Referrers>(page).manifests.length),
          [2, 2, 1],
        );
        for (const page of pages) {
          check(page, { status: 200, headers: { 'oci-filters-applied': 'artifactType' } });
        }
        const listed = pages.flatMap((page) => jsonOf<Referrers>(page).manifests);
        assert.deepEqual(
          listed.map((one) => one.digest),
          all.sort(),
        );
      },
    },
    {
      section: 'Listing Referrers: Pagination',
      level: 'MUST',
      says: 'referrers with large annotations come in pages that clients can read',
      check: async () => {
        const name = fresh();
        const subject = await push.image(name);
        const annotations = { big: 'x'.repeat(1 << 20) };
        for (let at = 0; at < 6; at += 1) {
          await push2(name, { ...subjectOf(subject), annotations });
        }
        const pages = await follow(server.url, `/v2/${name}/referrers/${subject.digest}`);
        assert.ok(pages.length > 1);
        assert.ok(pages.every((page) => page.body.length <= 4 << 20));
        const listed = pages.flatMap((page) => jsonOf<Referrers>(page).manifests);
        assert.equal(listed.length, 6);
      },
    },
    {
      section: 'Enabling the Referrers API',
      level: 'MUST',
      says: 'what a fallback tag lists is listed, as long as it is stored',
      check: async () => {
        const name = fresh();
        const subject = await push.image(name);
        const attached = await push2(name, { artifactType: 'a/attached' });
        const gone = image();
        const fallback = index([], {
          manifests: [attached, gone].map(({ digest: of, size }) => ({
            mediaType: OCI_MANIFEST,
            digest: of,
            size,
            artifactType: 'a/attached',
          })),
        });
        const deleted = await push.image(name, gone);
        await push.manifest(name, fallback, subject.digest.replace(':', '-'));
        const url = `${server.url}/v2/${name}/manifests/${deleted.digest}`;
        check(await send(url, { method: 'DELETE' }), { status: 202 });
        const { manifests } = await referrersOf(name, subject.digest);
        assert.deepEqual(
          manifests.map((one) => one.digest),
          [attached.digest],
        );
      },
    },
    {
      section: 'Enabling the Referrers API',
      level: 'MUST',
      says: 'the fallback tag of a sha512 subject is cut to 64 characters',
      check: async () => {
        const name = fresh();
        const subject = await push.image(name, image({ algorithm: 'sha512' }));
        const attached = await push2(name, { artifactType: 'a/attached' });
        const tag = `sha512-${subject.digest.slice(7, 71)}`;
        await push.manifest(name, index([attached]), tag);
        const { manifests } = await referrersOf(name, subject.digest);
        assert.equal(manifests.length, 1);
      },
    },
  ]);
});
