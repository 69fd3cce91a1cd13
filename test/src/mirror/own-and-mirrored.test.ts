import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { jsonOf, request } from '../../support/http-client.ts';
import { makeV1Chain, type V1Image } from '../../support/images.ts';
import type { RunningMirror } from '../../support/mirror.ts';
import { assertSame, top, useMirror } from '../../support/mirror-rig.ts';
import { V1Client } from '../../support/v1-client.ts';

const rig = useMirror(300);

describe('tags of a mirror', () => {
  it('are asked for again when their time is over, and served on while upstream is down', async (context) => {
    await rig.push('a/tags', { layers: 1 });
    const own = await rig.begin(context, { config: { tagsCacheSeconds: 0.3 } });
    const tags = async () => jsonOf(await request(`${own.url}/v1/repositories/a/tags/tags`));
    const first = await tags();
    rig.relay.take();
    assert.deepEqual(await tags(), first);
    assert.deepEqual(rig.relay.take(), []);
    await new Promise((done) => setTimeout(done, 350));
    const images = makeV1Chain({ seed: 7000, layers: 1 });
    await new V1Client(rig.upstreamUrl).push('a/tags', 'v2', images);
    assert.deepEqual(await tags(), { ...(first as object), v2: top(images).id });
    await new Promise((done) => setTimeout(done, 350));
    rig.down();
    assert.deepEqual(await tags(), { ...(first as object), v2: top(images).id });
    assert.ok(own.lines.some(({ event }) => /old tags/.test(event)));
  });

  it('live in the shared cache, for other nodes and for times when upstream is down', async (context) => {
    await rig.push('a/shared', { layers: 1 });
    const entries = new Map<string, Buffer>();
    const shared = {
      get: async (key: string) => entries.get(key),
      set: (key: string, value: Buffer | string) => void entries.set(key, Buffer.from(value)),
    };
    const [one, two] = [await rig.begin(context, { shared }), await rig.begin(context, { shared })];
    const tags = async (at: RunningMirror) =>
      jsonOf(await request(`${at.url}/v1/repositories/a/shared/tags`));
    const first = await tags(one);
    rig.down();
    rig.relay.take();
    assert.deepEqual(await tags(two), first);
    assert.deepEqual(rig.relay.take(), []);
  });
});

describe('pushes to a mirror', () => {
  it('stay here, and are seen beside what upstream has', async () => {
    const theirs = await rig.push('a/both', { layers: 1 });
    const ours = makeV1Chain({ seed: 8000, layers: 2 });
    const client = new V1Client(rig.mirror.url);
    await client.push('a/both', 'ours', ours);
    await client.push('a/both', 'v1', ours);
    const tags = await request(`${rig.mirror.url}/v1/repositories/a/both/tags`);
    assert.deepEqual(jsonOf(tags), { ours: top(ours).id, v1: top(ours).id });
    assert.equal(
      jsonOf(await request(`${rig.upstreamUrl}/v1/repositories/a/both/tags/v1`)) as string,
      top(theirs).id,
    );
    assert.equal((await request(`${rig.upstreamUrl}/v1/images/${top(ours).id}/json`)).status, 404);
    assertSame(ours, (await client.pull('a/both', 'v1')).images);
    rig.down();
    assertSame(ours, (await client.pull('a/both', 'ours')).images);
  });

  it('may build on an image that only upstream has', async () => {
    const theirs = await rig.push('a/base', { layers: 2 });
    const own = makeV1Chain({ seed: 8100, layers: 1 })[0] as V1Image;
    const json = Buffer.from(JSON.stringify({ id: own.id, parent: top(theirs).id }));
    const image: V1Image = { id: own.id, parent: top(theirs).id, json, layer: own.layer };
    const client = new V1Client(rig.mirror.url);
    const report = await client.push('a/derived', 'v1', [...theirs, image]);
    assert.deepEqual(report.uploaded, [own.id]);
    assertSame([...theirs, image], (await client.pull('a/derived', 'v1')).images);
    await client.push('a/retagged', 'v1', theirs);
    const v2 = await request(`${rig.mirror.url}/v2/a/retagged/manifests/v1`);
    assert.equal(v2.status, 200);
  });
});

describe('the search of a mirror', () => {
  it("finds what is here and what is upstream, with upstream's descriptions", async () => {
    rig.forPath('/v1/search?q=find', (_, response) => {
      const results = [
        { name: 'library/find-me', description: 'theirs' },
        { name: 'Bad Name', description: '' },
        { name: 'z/find', description: 'last' },
      ];
      response.end(JSON.stringify({ query: 'find', num_results: 3, results }));
    });
    const client = new V1Client(rig.mirror.url);
    await client.push('find-me', 'v1', makeV1Chain({ seed: 9000, layers: 1 }));
    await client.push('a/find', 'v1', makeV1Chain({ seed: 9001, layers: 1 }));
    assert.deepEqual(await client.search('find'), [
      { name: 'a/find', description: '' },
      { name: 'find-me', description: 'theirs' },
      { name: 'z/find', description: 'last' },
    ]);
    rig.down();
    assert.deepEqual(await client.search('a/f'), [{ name: 'a/find', description: '' }]);
  });
});
