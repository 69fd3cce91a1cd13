import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { type Answer, check, jsonOf, send } from '../../../support/http-row.ts';
import { digest, image, index, Pusher } from '../../../support/oci-content.ts';
import { describeRequirements, type Requirement } from '../../../support/requirements.ts';
import { useServer } from '../../../support/server.ts';

describe('OCI distribution-spec, category Content Management', () => {
  const server = useServer({ storage: 'filesystem' });
  const push = new Pusher(() => server.url);
  let counter = 0;
  const fresh = (): string => {
    counter += 1;
    return `management/r${counter}`;
  };
  const url = (name: string, rest: string): string => `${server.url}/v2/${name}/${rest}`;
  const drop = (name: string, rest: string): Promise<Answer> =>
    send(url(name, rest), { method: 'DELETE' });
  const tagsOf = async (name: string): Promise<string[]> =>
    jsonOf<{ tags: string[] }>(await send(url(name, 'tags/list'))).tags;
  const gone = { status: 404, code: 'MANIFEST_UNKNOWN' };

  const requirements: Requirement[] = [
    {
      section: 'Deleting tags',
      level: 'MUST',
      says: 'DELETE of a tag is 202; the tag is gone at once, the manifest and its other tags stay',
      check: async () => {
        const name = fresh();
        const pushed = await push.image(name, image(), 'keep');
        await push.manifest(name, pushed, 'drop');
        check(await drop(name, 'manifests/drop'), {
          status: 202,
          headers: { 'content-length': '0' },
        });
        check(await send(url(name, 'manifests/drop')), gone);
        check(await send(url(name, 'manifests/drop'), { method: 'HEAD' }), { status: 404 });
        assert.deepEqual(await tagsOf(name), ['keep']);
        check(await send(url(name, `manifests/${pushed.digest}`)), { status: 200 });
      },
    },
    {
      section: 'Deleting tags',
      level: 'MUST',
      says: 'DELETE of an unknown tag is 404, of a malformed one 400',
      check: async () => {
        const name = fresh();
        await push.image(name);
        check(await drop(name, 'manifests/unknown'), gone);
        check(await drop(name, 'manifests/.bad'), { status: 400, code: 'TAG_INVALID' });
      },
    },
    {
      section: 'Deleting Manifests',
      level: 'MUST',
      says: 'DELETE of a digest is 202; the manifest and every tag that names it are gone at once',
      check: async () => {
        for (const algorithm of ['sha256', 'sha512'] as const) {
          const name = fresh();
          const pushed = await push.image(name, image({ algorithm }));
          await push.image(name, image(), 'other');
          const query = '?tag=one&tag=two';
          await push.manifest(name, pushed, `${pushed.digest}${query}`);
          check(await drop(name, `manifests/${pushed.digest}`), { status: 202 });
          check(await send(url(name, `manifests/${pushed.digest}`)), gone);
          check(await send(url(name, 'manifests/one')), gone);
          assert.deepEqual(await tagsOf(name), ['other']);
        }
      },
    },
    {
      section: 'Deleting Manifests',
      level: 'MUST',
      says: 'DELETE of an unknown digest, or in an unknown repository, is 404',
      check: async () => {
        const name = fresh();
        await push.image(name);
        check(await drop(name, `manifests/${digest('x')}`), gone);
        check(await drop('no/such', `manifests/${digest('x')}`), gone);
        check(await drop(name, 'manifests/sha256:bad'), { status: 400, code: 'DIGEST_INVALID' });
      },
    },
    {
      section: 'Deleting Manifests',
      level: 'WE',
      says: 'an index goes without its children, and can be pushed again',
      check: async () => {
        const name = fresh();
        const child = await push.image(name);
        const list = index([child]);
        await push.manifest(name, list, 'list');
        check(await drop(name, `manifests/${list.digest}`), { status: 202 });
        check(await send(url(name, `manifests/${child.digest}`)), { status: 200 });
        await push.manifest(name, list, 'list');
        check(await send(url(name, 'manifests/list')), { status: 200, body: list.bytes });
      },
    },
    {
      section: 'Deleting Manifests',
      level: 'WE',
      says: 'the same manifest in another repository stays',
      check: async () => {
        const [one, two] = [fresh(), fresh()];
        const pushed = await push.image(one);
        await push.image(two, pushed);
        check(await drop(one, `manifests/${pushed.digest}`), { status: 202 });
        check(await send(url(two, `manifests/${pushed.digest}`)), { status: 200 });
      },
    },
    {
      section: 'Deleting Blobs',
      level: 'MUST',
      says: 'DELETE is 202; the blob is gone here at once, and stays elsewhere',
      check: async () => {
        const [one, two] = [fresh(), fresh()];
        const pushed = await push.image(one);
        await push.image(two, pushed);
        const path = `blobs/${pushed.config.digest}`;
        check(await drop(one, path), { status: 202, headers: { 'content-length': '0' } });
        check(await send(url(one, path)), { status: 404, code: 'BLOB_UNKNOWN' });
        check(await send(url(one, path), { method: 'HEAD' }), { status: 404 });
        check(await drop(one, path), { status: 404, code: 'BLOB_UNKNOWN' });
        check(await send(url(two, path)), { status: 200, body: pushed.config.bytes });
      },
    },
    {
      section: 'Deleting Blobs',
      level: 'WE',
      says: 'a manifest is no blob, and a blob is no manifest',
      check: async () => {
        const name = fresh();
        const pushed = await push.image(name);
        check(await send(url(name, `blobs/${pushed.digest}`)), { status: 404 });
        check(await drop(name, `blobs/${pushed.digest}`), { status: 404 });
        check(await send(url(name, `manifests/${pushed.config.digest}`)), gone);
        check(await drop(name, `manifests/${pushed.config.digest}`), gone);
      },
    },
  ];
  describeRequirements('requirements', requirements);
});

describe('OCI distribution-spec, category Content Management, switched off', () => {
  const server = useServer({ deletion: false });
  const push = new Pusher(() => server.url);
  const refused = async (rest: string, allow: string): Promise<void> => {
    const answer = await send(`${server.url}/v2/management/off/${rest}`, { method: 'DELETE' });
    check(answer, { status: 405, code: 'UNSUPPORTED', headers: { allow } });
  };

  describeRequirements('requirements', [
    {
      section: 'Content Management',
      level: 'MUST',
      says: 'tags, manifests and blobs answer 405 when deletion is off',
      check: async () => {
        const pushed = await push.image('management/off', image(), 'latest');
        await refused('manifests/latest', 'HEAD, GET, PUT');
        await refused(`manifests/${pushed.digest}`, 'HEAD, GET, PUT');
        await refused(`blobs/${pushed.config.digest}`, 'HEAD, GET');
        const answer = await send(`${server.url}/v2/management/off/manifests/latest`);
        check(answer, { status: 200 });
      },
    },
  ]);
});
