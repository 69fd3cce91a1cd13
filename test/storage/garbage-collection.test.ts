import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { collectGarbage } from '../../storage/garbage-collection.ts';
import { partsOf, useGarbageRig } from '../support/garbage-rig.ts';
import { check, send } from '../support/http-row.ts';
import {
  type Described,
  describe as described,
  descriptor,
  digest,
  image,
  index,
  Pusher,
  randomBlob,
} from '../support/oci-content.ts';
import { useServer } from '../support/server.ts';
import { snapshot } from '../support/snapshot.ts';

const SCHEMA1 = 'application/vnd.docker.distribution.manifest.v1+prettyjws';

describe('garbage collection of a tree in distribution’s layout', () => {
  const use = useGarbageRig();
  const about = (subject: Described) => ({ subject: descriptor(subject) });

  it('deletes what nothing names, with its links, and keeps the rest byte for byte', async () => {
    const kept = await use.rig.write('repo', image(), 'latest');
    const before = await snapshot(use.rig.driver);
    const orphan = randomBlob();
    const stray = randomBlob();
    await use.rig.tree.blob('repo', orphan);
    await use.rig.tree.data(stray);
    const report = await use.rig.collect();
    assert.deepEqual(report.problems, []);
    assert.deepEqual(new Set(report.blobs), new Set([orphan.digest, stray.digest]));
    assert.equal(report.bytes, orphan.size + stray.size);
    assert.deepEqual(await snapshot(use.rig.driver), before);
    assert.deepEqual(await use.rig.stored(...partsOf(kept)), [true, true, true]);
    assert.equal(await use.rig.tree.hasLayerLink('repo', orphan.digest), false);
  });

  it('prints what distribution prints', async () => {
    const one = await use.rig.write('a/b', image(), 'latest');
    const orphan = randomBlob();
    await use.rig.tree.blob('a/b', orphan);
    await use.rig.collect();
    assert.deepEqual(use.rig.lines, [
      'a/b',
      `a/b: marking manifest ${one.digest}`,
      `a/b: marking blob ${one.config.digest}`,
      `a/b: marking blob ${one.layers[0]?.digest}`,
      '',
      '3 blobs marked, 1 blobs and 0 manifests eligible for deletion',
      `blob eligible for deletion: ${orphan.digest}`,
      `a/b: layer link eligible for deletion: ${orphan.digest}`,
    ]);
  });

  it('prints only the summary when it is told to be quiet', async () => {
    await use.rig.write('repo', image(), 'latest');
    await use.rig.collect({ quiet: true });
    assert.deepEqual(use.rig.lines, [
      '3 blobs marked, 0 blobs and 0 manifests eligible for deletion',
    ]);
  });

  it('changes nothing in a dry run, and says the same', async () => {
    await use.rig.write('repo', image(), 'latest');
    await use.rig.write('repo', image());
    await use.rig.tree.blob('repo', randomBlob());
    const before = await snapshot(use.rig.driver);
    const dry = await use.rig.collect({ dryRun: true, deleteUntagged: true });
    assert.deepEqual(await snapshot(use.rig.driver), before);
    const wet = await use.rig.collect({ deleteUntagged: true });
    assert.deepEqual(dry, wet);
    assert.equal(wet.manifests.length, 1);
  });

  it('finds nothing the second time', async () => {
    await use.rig.write('repo', image(), 'latest');
    await use.rig.write('repo', image());
    await use.rig.collect({ deleteUntagged: true });
    const again = await use.rig.collect({ deleteUntagged: true });
    assert.deepEqual([again.blobs, again.manifests, again.links], [[], [], []]);
  });

  it('keeps untagged manifests unless told otherwise', async () => {
    const untagged = await use.rig.write('repo', image());
    await use.rig.collect();
    assert.deepEqual(await use.rig.stored(...partsOf(untagged)), [true, true, true]);
    const report = await use.rig.collect({ deleteUntagged: true });
    assert.deepEqual(report.manifests, [{ repository: 'repo', digest: untagged.digest }]);
    assert.deepEqual(await use.rig.stored(...partsOf(untagged)), [false, false, false]);
    assert.equal(await use.rig.tree.hasManifest('repo', untagged.digest), false);
    assert.ok(use.rig.lines.includes(`manifest eligible for deletion: ${untagged.digest}`));
  });

  it('keeps children of tagged indexes, to any depth', async () => {
    const child = await use.rig.write('repo', image());
    const inner = index([child]);
    const outer = index([inner]);
    await use.rig.tree.manifest('repo', inner);
    await use.rig.tree.manifest('repo', outer, 'latest');
    const report = await use.rig.collect({ deleteUntagged: true });
    assert.deepEqual(report.manifests, []);
    assert.deepEqual(await use.rig.stored(outer, inner, ...partsOf(child)), Array(5).fill(true));
  });

  it('keeps a referrer, and what refers to it, while the subject lives', async () => {
    const subject = await use.rig.write('repo', image(), 'latest');
    const signature = await use.rig.write('repo', image({ fields: about(subject) }));
    const onSignature = await use.rig.write('repo', image({ fields: about(signature) }));
    const listed = await use.rig.write('repo', image());
    await use.rig.tree.manifest('repo', index([listed], about(subject)));
    assert.deepEqual((await use.rig.collect({ deleteUntagged: true })).manifests, []);
    assert.deepEqual(await use.rig.stored(signature, onSignature, listed), [true, true, true]);
  });

  it('gives up a referrer with its subject', async () => {
    const subject = await use.rig.write('repo', image());
    const signature = await use.rig.write('repo', image({ fields: about(subject) }));
    await use.rig.write('repo', image(), 'latest');
    const report = await use.rig.collect({ deleteUntagged: true });
    assert.deepEqual(
      new Set(report.manifests.map((one) => one.digest)),
      new Set([subject.digest, signature.digest]),
    );
  });

  it('takes a manifest that it deletes out of what tags remember', async () => {
    const old = await use.rig.write('repo', image(), 'latest');
    const current = await use.rig.write('repo', image(), 'latest');
    const history = (one: Described): Promise<boolean> =>
      use.rig.tree.hasFile(
        'repo',
        `_manifests/tags/latest/index/${one.digest.replace(':', '/')}/link`,
      );
    assert.ok(await history(old));
    await use.rig.collect({ deleteUntagged: true });
    assert.deepEqual([await history(old), await history(current)], [false, true]);
    assert.deepEqual(await use.rig.stored(old, current), [false, true]);
  });

  it('keeps a blob that another repository uses, and its links', async () => {
    const shared = randomBlob();
    const one = image({ layers: [shared] });
    await use.rig.write('one', one, 'latest');
    await use.rig.tree.blob('two', shared);
    await use.rig.collect();
    assert.deepEqual(await use.rig.stored(shared), [true]);
    assert.ok(await use.rig.tree.hasLayerLink('two', shared.digest));
  });

  it('knows schema 1, and its signatures', async () => {
    const layer = randomBlob();
    const signature = randomBlob();
    const body = {
      schemaVersion: 1,
      fsLayers: [{ blobSum: layer.digest }, { blobSum: layer.digest }],
      history: [],
    };
    const manifest = described(JSON.stringify(body), SCHEMA1);
    await use.rig.tree.blob('repo', layer);
    await use.rig.tree.manifest('repo', manifest, 'latest');
    await use.rig.tree.data(signature);
    const path = `_manifests/revisions/${manifest.digest.replace(':', '/')}/signatures/${signature.digest.replace(':', '/')}/link`;
    await use.rig.tree.file('repo', path, signature.digest);
    const report = await use.rig.collect({ deleteUntagged: true });
    assert.deepEqual(report.problems, []);
    assert.deepEqual(await use.rig.stored(manifest, layer, signature), [true, true, true]);
  });

  it('keeps the data behind a sha512 alias that a manifest names', async () => {
    const layer = randomBlob();
    const alias = { ...layer, digest: digest(layer.bytes, 'sha512') };
    const own = image({ layers: [alias] });
    await use.rig.tree.blob('repo', own.config);
    await use.rig.tree.blob('repo', layer);
    await use.rig.tree.blob('repo', alias, layer.digest);
    await use.rig.tree.manifest('repo', own, 'latest');
    await use.rig.collect({ deleteUntagged: true });
    assert.deepEqual(await use.rig.stored(layer, own), [true, true]);
    assert.ok(await use.rig.tree.hasLayerLink('repo', alias.digest));
  });

  it('keeps native sha512 content', async () => {
    const one = await use.rig.write('repo', image({ algorithm: 'sha512' }), 'latest');
    await use.rig.collect({ deleteUntagged: true });
    assert.deepEqual(await use.rig.stored(...partsOf(one)), [true, true, true]);
  });

  it('keeps layers that lie elsewhere out of it, and sparse indexes too', async () => {
    const one = image({
      fields: { layers: [{ ...descriptor(randomBlob()), urls: ['http://x'] }] },
    });
    await use.rig.tree.blob('repo', one.config);
    await use.rig.tree.manifest('repo', one, 'latest');
    await use.rig.tree.manifest('repo', index([image()]), 'sparse');
    assert.deepEqual((await use.rig.collect({ deleteUntagged: true })).problems, []);
    assert.deepEqual(await use.rig.stored(one, one.config), [true, true]);
  });

  it('removes links to blobs that are not stored', async () => {
    const gone = randomBlob();
    await use.rig.tree.file('repo', `_layers/${gone.digest.replace(':', '/')}/link`, gone.digest);
    const report = await use.rig.collect();
    assert.deepEqual(report.links, [{ repository: 'repo', digest: gone.digest }]);
    assert.equal(await use.rig.tree.hasLayerLink('repo', gone.digest), false);
  });

  it('passes over directories whose link was deleted', async () => {
    const one = await use.rig.write('repo', image(), 'latest');
    await use.rig.tree.file('repo', `_manifests/revisions/sha256/${'a'.repeat(64)}/other`, 'x');
    assert.deepEqual((await use.rig.collect()).problems, []);
    assert.deepEqual(await use.rig.stored(one), [true]);
  });

  it('keeps what was written within the grace time', async () => {
    const blob = randomBlob();
    await use.rig.tree.blob('repo', blob);
    const unlinked = randomBlob();
    await use.rig.tree.data(unlinked);
    const untagged = await use.rig.write('repo', image());
    const report = await use.rig.collect({ deleteUntagged: true, graceMs: 60_000 });
    assert.deepEqual([report.blobs, report.manifests, report.links], [[], [], []]);
    assert.deepEqual(await use.rig.stored(blob, unlinked, untagged), [true, true, true]);
  });

  it('keeps an old blob whose link is new: a push may have found it there', async (context) => {
    context.mock.timers.enable({ apis: ['Date'], now: Date.now() });
    const [found, orphan] = [randomBlob(), randomBlob()];
    await use.rig.tree.data(found);
    await use.rig.tree.blob('repo', orphan);
    context.mock.timers.tick(60_000);
    await use.rig.tree.link('repo', found.digest);
    const report = await use.rig.collect({ graceMs: 30_000 });
    assert.deepEqual(report.blobs, [orphan.digest]);
  });
});

describe('garbage collection behind a running registry', () => {
  const server = useServer({ storage: 'filesystem' });
  const push = new Pusher(() => server.url);
  const head = async (of: string): Promise<number> =>
    (await send(`${server.url}/v2/repo/blobs/${of}`, { method: 'HEAD' })).status;

  it('frees a deleted image, leaves the other pullable, and lets the first be pushed again', async () => {
    const [kept, deleted] = [await push.image('repo', image(), 'kept'), await push.image('repo')];
    const layer = deleted.layers[0]?.digest ?? '';
    const url = `${server.url}/v2/repo/manifests/${deleted.digest}`;
    check(await send(url, { method: 'DELETE' }), { status: 202 });
    assert.equal(await head(layer), 200);
    const options = { dryRun: false, deleteUntagged: false, graceMs: -1000 };
    const report = await collectGarbage(server.content, options, () => undefined);
    assert.equal(report.blobs.length, 3);
    assert.equal(report.links.length, 2);
    // A registry that went on saying that the blob is there would make the next push skip it (v2.md 7, hazard 5).
    assert.equal(await head(layer), 404);
    assert.equal(await head(kept.layers[0]?.digest ?? ''), 200);
    check(await send(`${server.url}/v2/repo/manifests/kept`), { status: 200, body: kept.bytes });
    await push.image('repo', deleted, 'again');
    check(await send(`${server.url}/v2/repo/manifests/again`), { status: 200 });
    assert.equal(await head(layer), 200);
  });
});
