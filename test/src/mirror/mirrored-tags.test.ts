import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { basic, testAccounts } from '../../support/accounts.ts';
import { SCHEMA2 } from '../../support/bridge-client.ts';
import { eventually } from '../../support/eventually.ts';
import { header, jsonOf, request } from '../../support/http-client.ts';
import { makeV2Image, type V1Image } from '../../support/images.ts';
import { useMirror } from '../../support/mirror-rig.ts';
import { sha256 } from '../../support/tar-layer.ts';
import { V1Client } from '../../support/v1-client.ts';
import { V2Client } from '../../support/v2-client.ts';

const BELIEVED_S = 0.2;

describe('a tag of a mirror over V2', () => {
  const rig = useMirror(500, { config: { tagsCacheSeconds: BELIEVED_S } });

  const push = (name: string, tag = 'v1', to = rig.upstreamUrl) => rig.push(name, { tag, to });
  const manifestOf = (name: string, tag = 'v1', at = rig.mirror.url, headers = {}) =>
    request(`${at}/v2/${name}/manifests/${tag}`, { headers: { accept: SCHEMA2, ...headers } });
  const digestOf = async (name: string, tag = 'v1', at = rig.mirror.url) =>
    header((await manifestOf(name, tag, at)).headers, 'docker-content-digest');
  const v1TagsOf = async (name: string) =>
    jsonOf(await request(`${rig.mirror.url}/v1/repositories/${name}/tags`));
  const past = () => new Promise((done) => setTimeout(done, BELIEVED_S * 1000 + 50));
  const idOf = (images: V1Image[]) => images.at(-1)?.id ?? '';

  it('is pulled by clients of today, from an upstream that knows V1 only', async () => {
    await push('a/app');
    const answer = await manifestOf('a/app');
    assert.equal(answer.status, 200);
    // The registry that has the image makes the very same manifest of it.
    assert.equal(sha256(answer.body), await digestOf('a/app', 'v1', rig.upstreamUrl));
    const { config, layers } = JSON.parse(answer.body.toString());
    for (const { digest } of [config, ...layers]) {
      const blob = await request(`${rig.mirror.url}/v2/a/app/blobs/${digest}`);
      assert.equal(sha256(blob.body), digest);
    }
    assert.ok(rig.relay.take().every((path) => path.startsWith('/v1/')));
  });

  it('is there with the image that V1 clients pulled, when upstream is down by then', async () => {
    const images = await push('a/pulled');
    await new V1Client(rig.mirror.url).pull('a/pulled', 'v1');
    await eventually(
      () =>
        rig.mirror.lines.filter(({ event }) => event === 'image mirrored').length === images.length,
      'all images stored',
    );
    rig.down();
    await past();
    assert.equal((await manifestOf('a/pulled')).status, 200);
  });

  it('is in the list with those that were written here', async () => {
    await push('a/list', 'theirs');
    await push('a/list', 'ours', rig.mirror.url);
    const list = async (query = '') =>
      jsonOf<{ tags: string[] }>(await request(`${rig.mirror.url}/v2/a/list/tags/list${query}`))
        .tags;
    assert.deepEqual(await list(), ['ours', 'theirs']);
    const page = await request(`${rig.mirror.url}/v2/a/list/tags/list?n=1`);
    assert.deepEqual(jsonOf<{ tags: string[] }>(page).tags, ['ours']);
    assert.match(header(page.headers, 'link') ?? '', /last=ours&n=1/);
    assert.deepEqual(await list('?n=1&last=ours'), ['theirs']);
    await push('a/only');
    const only = await request(`${rig.mirror.url}/v2/a/only/tags/list`);
    assert.deepEqual(jsonOf<{ tags: string[] }>(only).tags, ['v1']);
    assert.equal((await request(`${rig.mirror.url}/v2/a/nothing/tags/list`)).status, 404);
  });

  it('moves and goes when upstream moves and deletes it, for both protocols', async () => {
    await push('a/moved');
    const first = await digestOf('a/moved');
    const later = await push('a/moved');
    await past();
    const second = await digestOf('a/moved');
    assert.ok(second && second !== first);
    assert.deepEqual(await v1TagsOf('a/moved'), { v1: idOf(later) });
    const newest = await push('a/moved');
    await past();
    assert.deepEqual(await v1TagsOf('a/moved'), { v1: idOf(newest) });
    const tag = await request(`${rig.mirror.url}/v1/repositories/a/moved/tags/v1`);
    assert.equal(jsonOf(tag), idOf(newest));
    await request(`${rig.upstreamUrl}/v1/repositories/a/moved/tags/v1`, { method: 'DELETE' });
    await past();
    assert.equal((await manifestOf('a/moved')).status, 404);
    assert.deepEqual(await v1TagsOf('a/moved'), {});
  });

  it('serves on while upstream is down, and says so where it was never brought', async () => {
    const images = await push('a/down');
    const digest = await digestOf('a/down');
    await push('a/never');
    rig.down();
    await past();
    assert.equal(await digestOf('a/down'), digest);
    assert.deepEqual(await v1TagsOf('a/down'), { v1: idOf(images) });
    const never = await manifestOf('a/never');
    assert.equal(never.status, 503);
    assert.match(never.body.toString(), /did not answer/);
  });

  it('is left alone once somebody wrote it here, over whatever protocol', async () => {
    for (const [n, write] of [
      () => push('a/own-0', 'v1', rig.mirror.url),
      () =>
        new V2Client(rig.mirror.url).pushImage(
          'a/own-1',
          'v1',
          makeV2Image({ seed: 599, layers: 1 }),
        ),
    ].entries()) {
      const name = `a/own-${n}`;
      await push(name);
      assert.ok(await digestOf(name));
      await write();
      const own = await digestOf(name);
      await push(name);
      await past();
      assert.equal(await digestOf(name), own);
      rig.down();
      assert.equal(await digestOf(name), own);
      rig.up();
      await past();
      await new Promise((done) => setTimeout(done, 300));
    }
  });

  it('is brought once, however many clients ask at a time', async () => {
    const images = await push('a/crowd');
    const answers = await Promise.all(Array.from({ length: 8 }, () => manifestOf('a/crowd')));
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    const layers = rig.relay.take().filter((path) => path.endsWith('/layer'));
    assert.equal(layers.length, images.length);
  });

  it('is for those who may pull its repository', async (context) => {
    await push('public');
    await push('secret/app');
    const own = await rig.begin(context, { access: testAccounts() });
    const bob = { authorization: basic('bob', 'builder') };
    const ann = { authorization: basic('ann', 'secret') };
    assert.equal((await manifestOf('public', 'v1', own.url, bob)).status, 200);
    assert.equal((await manifestOf('secret/app', 'v1', own.url, bob)).status, 403);
    assert.equal((await manifestOf('secret/app', 'v1', own.url, ann)).status, 200);
  });
});
