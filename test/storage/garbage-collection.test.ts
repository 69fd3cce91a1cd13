import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { ContentStore } from '../../storage/content-store.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import { checked } from '../../storage/drivers/checked.ts';
import { MemoryDriver } from '../../storage/drivers/memory.ts';
import {
  collectGarbage,
  type GarbageOptions,
  type GarbageReport,
} from '../../storage/garbage-collection.ts';
import { V1GarbageRoot } from '../../storage/v1-garbage.ts';
import { DistributionTree } from '../support/distribution-tree.ts';
import { check, send } from '../support/http-row.ts';
import {
  type Described,
  describe as described,
  descriptor,
  digest,
  type Image,
  image,
  index,
  Pusher,
  randomBlob,
} from '../support/oci-content.ts';
import { useServer } from '../support/server.ts';
import { snapshot } from '../support/snapshot.ts';

const SCHEMA1 = 'application/vnd.docker.distribution.manifest.v1+prettyjws';

describe('garbage collection of a tree in distribution’s layout', () => {
  let driver: StorageDriver;
  let tree: DistributionTree;
  let lines: string[];

  beforeEach(() => {
    driver = checked(new MemoryDriver());
    tree = new DistributionTree(driver);
    lines = [];
  });

  const collect = (options: Partial<GarbageOptions> = {}): Promise<GarbageReport> =>
    collectGarbage(
      new ContentStore(driver),
      { dryRun: false, deleteUntagged: false, graceMs: -1, ...options },
      (line) => lines.push(line),
    );
  const write = async (name: string, one: Image, ...tags: string[]): Promise<Image> => {
    for (const blob of [one.config, ...one.layers]) await tree.blob(name, blob);
    await tree.manifest(name, one, ...tags);
    return one;
  };
  const stored = async (...all: Described[]): Promise<boolean[]> =>
    Promise.all(all.map((one) => tree.has(one.digest)));
  const partsOf = (one: Image): Described[] => [one, one.config, ...one.layers];
  const about = (subject: Described) => ({ subject: descriptor(subject) });

  it('deletes what nothing names, with its links, and keeps the rest byte for byte', async () => {
    const kept = await write('repo', image(), 'latest');
    const before = await snapshot(driver);
    const orphan = randomBlob();
    const stray = randomBlob();
    await tree.blob('repo', orphan);
    await tree.data(stray);
    const report = await collect();
    assert.deepEqual(report.problems, []);
    assert.deepEqual(new Set(report.blobs), new Set([orphan.digest, stray.digest]));
    assert.equal(report.bytes, orphan.size + stray.size);
    assert.deepEqual(await snapshot(driver), before);
    assert.deepEqual(await stored(...partsOf(kept)), [true, true, true]);
    assert.equal(await tree.hasLayerLink('repo', orphan.digest), false);
  });

  it('prints what distribution prints', async () => {
    const one = await write('a/b', image(), 'latest');
    const orphan = randomBlob();
    await tree.blob('a/b', orphan);
    await collect();
    assert.deepEqual(lines, [
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
    await write('repo', image(), 'latest');
    await collect({ quiet: true });
    assert.deepEqual(lines, ['3 blobs marked, 0 blobs and 0 manifests eligible for deletion']);
  });

  it('changes nothing in a dry run, and says the same', async () => {
    await write('repo', image(), 'latest');
    await write('repo', image());
    await tree.blob('repo', randomBlob());
    const before = await snapshot(driver);
    const dry = await collect({ dryRun: true, deleteUntagged: true });
    assert.deepEqual(await snapshot(driver), before);
    const wet = await collect({ deleteUntagged: true });
    assert.deepEqual(dry, wet);
    assert.equal(wet.manifests.length, 1);
  });

  it('finds nothing the second time', async () => {
    await write('repo', image(), 'latest');
    await write('repo', image());
    await collect({ deleteUntagged: true });
    const again = await collect({ deleteUntagged: true });
    assert.deepEqual([again.blobs, again.manifests, again.links], [[], [], []]);
  });

  it('keeps untagged manifests unless told otherwise', async () => {
    const untagged = await write('repo', image());
    await collect();
    assert.deepEqual(await stored(...partsOf(untagged)), [true, true, true]);
    const report = await collect({ deleteUntagged: true });
    assert.deepEqual(report.manifests, [{ repository: 'repo', digest: untagged.digest }]);
    assert.deepEqual(await stored(...partsOf(untagged)), [false, false, false]);
    assert.equal(await tree.hasManifest('repo', untagged.digest), false);
    assert.ok(lines.includes(`manifest eligible for deletion: ${untagged.digest}`));
  });

  it('keeps children of tagged indexes, to any depth', async () => {
    const child = await write('repo', image());
    const inner = index([child]);
    const outer = index([inner]);
    await tree.manifest('repo', inner);
    await tree.manifest('repo', outer, 'latest');
    const report = await collect({ deleteUntagged: true });
    assert.deepEqual(report.manifests, []);
    assert.deepEqual(await stored(outer, inner, ...partsOf(child)), Array(5).fill(true));
  });

  it('keeps a referrer, and what refers to it, while the subject lives', async () => {
    const subject = await write('repo', image(), 'latest');
    const signature = await write('repo', image({ fields: about(subject) }));
    const onSignature = await write('repo', image({ fields: about(signature) }));
    const listed = await write('repo', image());
    await tree.manifest('repo', index([listed], about(subject)));
    assert.deepEqual((await collect({ deleteUntagged: true })).manifests, []);
    assert.deepEqual(await stored(signature, onSignature, listed), [true, true, true]);
  });

  it('gives up a referrer with its subject', async () => {
    const subject = await write('repo', image());
    const signature = await write('repo', image({ fields: about(subject) }));
    await write('repo', image(), 'latest');
    const report = await collect({ deleteUntagged: true });
    assert.deepEqual(
      new Set(report.manifests.map((one) => one.digest)),
      new Set([subject.digest, signature.digest]),
    );
  });

  it('takes a manifest that it deletes out of what tags remember', async () => {
    const old = await write('repo', image(), 'latest');
    const current = await write('repo', image(), 'latest');
    const history = (one: Described): Promise<boolean> =>
      tree.hasFile('repo', `_manifests/tags/latest/index/${one.digest.replace(':', '/')}/link`);
    assert.ok(await history(old));
    await collect({ deleteUntagged: true });
    assert.deepEqual([await history(old), await history(current)], [false, true]);
    assert.deepEqual(await stored(old, current), [false, true]);
  });

  it('keeps a blob that another repository uses, and its links', async () => {
    const shared = randomBlob();
    const one = image({ layers: [shared] });
    await write('one', one, 'latest');
    await tree.blob('two', shared);
    await collect();
    assert.deepEqual(await stored(shared), [true]);
    assert.ok(await tree.hasLayerLink('two', shared.digest));
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
    await tree.blob('repo', layer);
    await tree.manifest('repo', manifest, 'latest');
    await tree.data(signature);
    const path = `_manifests/revisions/${manifest.digest.replace(':', '/')}/signatures/${signature.digest.replace(':', '/')}/link`;
    await tree.file('repo', path, signature.digest);
    const report = await collect({ deleteUntagged: true });
    assert.deepEqual(report.problems, []);
    assert.deepEqual(await stored(manifest, layer, signature), [true, true, true]);
  });

  it('keeps the data behind a sha512 alias that a manifest names', async () => {
    const layer = randomBlob();
    const alias = { ...layer, digest: digest(layer.bytes, 'sha512') };
    const own = image({ layers: [alias] });
    await tree.blob('repo', own.config);
    await tree.blob('repo', layer);
    await tree.blob('repo', alias, layer.digest);
    await tree.manifest('repo', own, 'latest');
    await collect({ deleteUntagged: true });
    assert.deepEqual(await stored(layer, own), [true, true]);
    assert.ok(await tree.hasLayerLink('repo', alias.digest));
  });

  it('keeps native sha512 content', async () => {
    const one = await write('repo', image({ algorithm: 'sha512' }), 'latest');
    await collect({ deleteUntagged: true });
    assert.deepEqual(await stored(...partsOf(one)), [true, true, true]);
  });

  it('keeps layers that lie elsewhere out of it, and sparse indexes too', async () => {
    const one = image({
      fields: { layers: [{ ...descriptor(randomBlob()), urls: ['http://x'] }] },
    });
    await tree.blob('repo', one.config);
    await tree.manifest('repo', one, 'latest');
    await tree.manifest('repo', index([image()]), 'sparse');
    assert.deepEqual((await collect({ deleteUntagged: true })).problems, []);
    assert.deepEqual(await stored(one, one.config), [true, true]);
  });

  it('removes links to blobs that are not stored', async () => {
    const gone = randomBlob();
    await tree.file('repo', `_layers/${gone.digest.replace(':', '/')}/link`, gone.digest);
    const report = await collect();
    assert.deepEqual(report.links, [{ repository: 'repo', digest: gone.digest }]);
    assert.equal(await tree.hasLayerLink('repo', gone.digest), false);
  });

  it('passes over directories whose link was deleted', async () => {
    const one = await write('repo', image(), 'latest');
    await tree.file('repo', `_manifests/revisions/sha256/${'a'.repeat(64)}/other`, 'x');
    assert.deepEqual((await collect()).problems, []);
    assert.deepEqual(await stored(one), [true]);
  });

  it('keeps what was written within the grace time', async () => {
    const blob = randomBlob();
    await tree.blob('repo', blob);
    const unlinked = randomBlob();
    await tree.data(unlinked);
    const untagged = await write('repo', image());
    const report = await collect({ deleteUntagged: true, graceMs: 60_000 });
    assert.deepEqual([report.blobs, report.manifests, report.links], [[], [], []]);
    assert.deepEqual(await stored(blob, unlinked, untagged), [true, true, true]);
  });

  it('keeps an old blob whose link is new: a push may have found it there', async () => {
    const [found, orphan] = [randomBlob(), randomBlob()];
    await tree.data(found);
    await tree.blob('repo', orphan);
    await new Promise((done) => setTimeout(done, 100));
    await tree.link('repo', found.digest);
    const report = await collect({ graceMs: 50 });
    assert.deepEqual(report.blobs, [orphan.digest]);
  });

  describe('what cannot be read', () => {
    it('keeps all that the repository of a missing manifest holds, and cleans the others', async () => {
      const layer = randomBlob();
      const missing = image();
      await tree.blob('broken', layer);
      await write('broken', missing, 'latest');
      const untagged = await write('broken', image());
      await driver.delete(`/docker/registry/v2/blobs/sha256/${missing.digest.slice(7, 9)}`);
      const orphan = randomBlob();
      await tree.blob('fine', orphan);
      const report = await collect({ deleteUntagged: true });
      assert.ok(report.problems.some((line) => line.includes(missing.digest)));
      assert.ok(lines.some((line) => line.startsWith('problem: ')));
      assert.deepEqual(report.manifests, []);
      assert.deepEqual(await stored(layer, untagged, ...untagged.layers), [true, true, true]);
      assert.deepEqual(await stored(orphan), [false]);
    });

    it('treats a damaged manifest as a missing one', async () => {
      const layer = randomBlob();
      const damaged = image();
      await tree.blob('repo', layer);
      await write('repo', damaged, 'latest');
      await tree.data(damaged, '');
      const report = await collect();
      assert.equal(report.problems.length, 1);
      assert.deepEqual(await stored(layer, ...damaged.layers), [true, true]);
    });

    it('marks every digest in a document that no parser here accepts', async () => {
      const layer = randomBlob();
      const strange = described(
        JSON.stringify({ schemaVersion: 2, layers: [{ blob: layer.digest }], manifests: [] }),
      );
      await tree.blob('repo', layer);
      await tree.manifest('repo', strange, 'latest');
      const report = await collect({ deleteUntagged: true });
      assert.deepEqual(report.problems, []);
      assert.deepEqual(await stored(layer, strange), [true, true]);
    });

    it('takes a torn revision link by its place', async () => {
      const one = await write('repo', image());
      const path = `_manifests/revisions/${one.digest.replace(':', '/')}/link`;
      await tree.file('repo', path, '');
      const report = await collect({ deleteUntagged: true });
      assert.equal(report.problems.length, 1);
      assert.deepEqual(await stored(...partsOf(one)), [true, true, true]);
      assert.ok(await tree.hasFile('repo', path));
    });

    it('keeps all that a torn tag ever named', async () => {
      const old = await write('repo', image(), 'latest');
      const now = await write('repo', image(), 'latest');
      const other = await write('repo', image());
      await tree.tag('repo', 'latest', now.digest, '');
      const report = await collect({ deleteUntagged: true });
      assert.deepEqual(report.problems.length, 1);
      assert.deepEqual(await stored(old, now, other), [true, true, false]);
    });

    it('deletes nothing at all when a torn alias may stand for anything', async () => {
      const layer = randomBlob();
      const alias = digest(layer.bytes, 'sha512');
      await tree.blob('repo', layer);
      await tree.file('repo', `_layers/${alias.replace(':', '/')}/link`, '');
      const before = await snapshot(driver);
      const report = await collect({ deleteUntagged: true });
      assert.equal(report.problems.length, 1);
      assert.deepEqual(await snapshot(driver), before);
    });
  });

  describe('other roots', () => {
    const v1 = '/docker/registry/v1';
    const id = 'ab'.repeat(32);
    const record = `${v1}/images/${id}`;

    it('keep the layers of V1 images', async () => {
      const layer = randomBlob();
      await tree.data(layer);
      const line = JSON.stringify({ blob: layer.digest, size: layer.size, ancestry: [id] });
      await driver.put(record, `${line}\n{}`);
      const roots = [new V1GarbageRoot(driver)];
      await collect({ roots });
      assert.deepEqual(await stored(layer), [true]);
    });

    it('stop everything where a V1 record is damaged', async () => {
      const layer = randomBlob();
      await tree.data(layer);
      await driver.put(record, '{"blob":\n');
      const report = await collect({ roots: [new V1GarbageRoot(driver)] });
      assert.equal(report.problems.length, 1);
      assert.deepEqual(await stored(layer), [true]);
    });

    it('forget what they noted of a blob that is gone', async () => {
      const layer = randomBlob();
      const hex = layer.digest.slice(7);
      const diff = 'cd'.repeat(32);
      await tree.data(layer);
      const before = [
        `${v1}/facts/sha256/${hex.slice(0, 2)}/${hex}`,
        `${v1}/diffs/cd/${diff}/sha256-${hex}`,
        `${v1}/manifests/sha256/${hex.slice(0, 2)}/${hex}/forms`,
      ];
      const facts = JSON.stringify({ diffId: `sha256:${diff}` });
      for (const path of before) await driver.put(path, facts);
      await collect({ roots: [new V1GarbageRoot(driver)] });
      assert.deepEqual(await snapshot(driver), {});
    });

    it('may keep a manifest that no tag names', async () => {
      const one = await write('repo', image());
      const other = await write('repo', image());
      const roots: GarbageOptions['roots'] = [
        { mark: async (marks) => marks.manifest('repo' as never, one.digest as never) },
      ];
      await collect({ deleteUntagged: true, roots });
      assert.deepEqual(await stored(one, other), [true, false]);
    });
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
