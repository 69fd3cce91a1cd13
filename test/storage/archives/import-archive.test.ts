import assert from 'node:assert/strict';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { directoryEntries, tarEntries } from '../../../storage/archives/entry-source.ts';
import {
  type ArchiveImportOptions,
  importArchive,
} from '../../../storage/archives/import-archive.ts';
import type { ContentStore } from '../../../storage/content-store.ts';
import type { Digest } from '../../../storage/digest.ts';
import { parseRepositoryName, parseTag, type V1ImageId } from '../../../storage/names.ts';
import { spoolsRoot } from '../../../storage/paths.ts';
import {
  blobName,
  configHex,
  described,
  dockerMembers,
  image,
  importMembers,
  LIMITS,
  layoutMembers,
  repositoryOf,
  without,
} from '../../support/archive-members.ts';
import { inPieces, type TarMember, tarBytes } from '../../support/archive-tar.ts';
import { makeV1Chain, makeV2Image, makeV2Index } from '../../support/images.ts';
import { bytesOf, directoryStore, everything, memoryStore } from '../../support/stores.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

async function expectDockerImage(store: ContentStore, name: string, tag: string): Promise<void> {
  const manifest = await repositoryOf(store, name).resolveTag(parseTag(tag));
  assert.equal(manifest?.config?.digest, `sha256:${configHex}`);
  for (const [at, { tar }] of image.layers.entries()) {
    const digest = manifest?.layers[at]?.digest as Digest;
    assert.ok(await repositoryOf(store, name).blobs.find(digest));
    assert.deepEqual(await bytesOf(await store.blobs.read(digest)), tar);
  }
}

describe('importing what docker saves', () => {
  const ways: [string, (bytes: Buffer) => ReturnType<typeof tarEntries>][] = [
    ['a tar', (bytes) => tarEntries(inPieces(bytes), LIMITS)],
    ['a tar in tiny pieces', (bytes) => tarEntries(inPieces(bytes, 7), LIMITS)],
    ['a gzipped tar', (bytes) => tarEntries(inPieces(gzipSync(bytes)), LIMITS)],
  ];
  for (const [what, entriesOf] of ways) {
    it(`reads ${what}`, async (context) => {
      const store = directoryStore(context);
      const bytes = await tarBytes(dockerMembers());
      const imported = await importArchive(store, entriesOf(bytes), {
        reader: everything,
      });
      assert.deepEqual(
        imported.map(({ repository, tags }) => [repository, tags]),
        [['team/app', ['v1']]],
      );
      await expectDockerImage(store, 'team/app', 'v1');
    });
  }

  it('reads a directory, with links in it', async (context) => {
    const root = temporaryDirectory(context);
    for (const [name, content] of dockerMembers()) {
      mkdirSync(join(root, name, '..'), { recursive: true });
      writeFileSync(join(root, name), Buffer.isBuffer(content) ? content : JSON.stringify(content));
    }
    const [first] = image.layers;
    writeFileSync(join(root, 'real.tar'), first?.tar ?? '');
    rmSync(join(root, '0/layer.tar'));
    symlinkSync('../real.tar', join(root, '0/layer.tar'));
    const store = memoryStore(context);
    await importArchive(store, directoryEntries(root), { reader: everything });
    await expectDockerImage(store, 'team/app', 'v1');
  });

  it('follows links as podman writes them, and hard links', async (context) => {
    const members: TarMember[] = [
      ['real.tar', image.layers[0]?.tar ?? ''],
      ['0/layer.tar', { symlink: '../real.tar' }],
      ['also.tar', image.layers[1]?.tar ?? ''],
      ['1/layer.tar', { hardlink: 'also.tar' }],
      ...without(without(dockerMembers(), '0/layer.tar'), '1/layer.tar'),
    ];
    const store = directoryStore(context);
    await importMembers(store, members);
    await expectDockerImage(store, 'team/app', 'v1');
  });

  it('stores a compressed layer as it is', async (context) => {
    const store = directoryStore(context);
    await importMembers(store, dockerMembers(['x:y'], 'bytes'));
    const manifest = await repositoryOf(store, 'x').resolveTag(parseTag('y'));
    assert.deepEqual(
      manifest?.layers.map(({ digest }) => digest),
      image.layers.map(({ digest }) => digest),
    );
    assert.equal(manifest?.descriptor.digest, image.digest);
  });

  it('keeps no second copy of a layer that was pushed compressed', async (context) => {
    const store = directoryStore(context);
    await importMembers(store, layoutMembers([image], [described(image, 'team/pushed:v1')]));
    const [imported] = await importMembers(store, dockerMembers());
    assert.equal(imported?.digest, image.digest);
    assert.equal(await store.blobs.size(image.layers[0]?.diffId as Digest), undefined);
  });

  it('gives the image its name: own, given, or the given repository with its own tag', async (context) => {
    const store = memoryStore(context);
    const rows: [
      names: string[] | null,
      wanted: Partial<ArchiveImportOptions>,
      stored: string[],
    ][] = [
      [
        ['localhost:5000/team/app:v1', 'docker.io/library/busybox:1'],
        {},
        ['team/app:v1', 'busybox:1'],
      ],
      [null, { repository: parseRepositoryName('a/b'), tag: parseTag('c') }, ['a/b:c']],
      [null, { repository: parseRepositoryName('a/b') }, ['a/b:latest']],
      [['team/app:v7'], { repository: parseRepositoryName('a/b') }, ['a/b:v7']],
      [['team/app:v7'], { repository: parseRepositoryName('a/b'), tag: parseTag('x') }, ['a/b:x']],
    ];
    for (const [names, wanted, stored] of rows) {
      const imported = await importMembers(store, dockerMembers(names), wanted);
      const shown = imported.flatMap(({ repository, tags }) =>
        tags.map((tag) => `${repository}:${tag}`),
      );
      assert.deepEqual(shown, stored);
      for (const name of stored) {
        const [repository = '', tag = ''] = name.split(':');
        await expectDockerImage(store, repository, tag);
      }
    }
  });

  it('leaves nothing aside', async (context) => {
    const store = memoryStore(context);
    await importMembers(store, dockerMembers());
    await assert.rejects(importMembers(store, without(dockerMembers(), '0/layer.tar')));
    const left: string[] = [];
    for await (const name of store.driver.list(spoolsRoot)) left.push(name);
    assert.deepEqual(left, []);
  });

  it('clears away what a killed import left', async (context) => {
    const store = memoryStore(context);
    await store.driver.put(`${spoolsRoot}/dead/1`, 'x');
    await importMembers(store, dockerMembers());
    const left: string[] = [];
    for await (const name of store.driver.list(spoolsRoot)) left.push(name);
    assert.deepEqual(left, []);
  });
});

describe('importing what docker up to 1.9 saved', () => {
  const chain = makeV1Chain({ seed: 62, layers: 3, forms: ['tar', 'gzip'] });
  const top = chain.at(-1)?.id ?? '';
  const members: TarMember[] = [
    ...[...chain].reverse().flatMap(({ id, json, layer }): TarMember[] => [
      [`./${id}/VERSION`, '1.0'],
      [`./${id}/layer.tar`, layer],
      [`./${id}/json`, json],
    ]),
    ['./repositories', { 'team/old': { v1: top }, busybox: { base: chain[0]?.id } }],
  ];

  it('keeps ids, JSON and layers', async (context) => {
    const store = directoryStore(context);
    const imported = await importMembers(store, members);
    assert.deepEqual(
      imported.map(({ imageId }) => imageId),
      [top, chain[0]?.id],
    );
    for (const { id, json, layer } of chain) {
      const found = await store.v1.image(id as V1ImageId, everything);
      assert.deepEqual(found.json, json);
      assert.deepEqual(await bytesOf(await found.layer.open()), layer);
    }
    assert.equal(await repositoryOf(store, 'team/old').v1.tag(parseTag('v1')), top);
    assert.equal(
      (await repositoryOf(store, 'busybox').resolveTag(parseTag('base')))?.layers.length,
      1,
    );
  });

  it('finds the top of an archive without names', async (context) => {
    const store = memoryStore(context);
    const wanted = { repository: parseRepositoryName('a'), tag: parseTag('b') };
    const [imported] = await importMembers(store, without(members, './repositories'), wanted);
    assert.equal(imported?.imageId, top);
  });

  it('does not show a private image to who only knows its ID', async (context) => {
    const store = memoryStore(context);
    await importMembers(store, dockerMembers(['secret/app:v1']));
    const secret = repositoryOf(store, 'secret/app');
    const id = (await secret.v1.tag(parseTag('v1'))) as V1ImageId;
    const thief: TarMember[] = [
      [`${id}/json`, { id }],
      [`${id}/layer.tar`, image.layers[0]?.tar ?? ''],
      ['repositories', { 'thief/app': { v1: id } }],
    ];
    const reader = {
      unrestricted: false,
      mayPull: (name: string) => name.startsWith('thief/'),
      claimant: 'thief',
    };
    await importMembers(store, thief, { reader });
    const manifest = await repositoryOf(store, 'thief/app').resolveTag(parseTag('v1'));
    assert.notEqual(manifest?.config?.digest, `sha256:${id}`);
    assert.equal(manifest?.layers.length, 1);
  });
});

describe('importing an OCI layout', () => {
  const index = makeV2Index({
    seed: 63,
    layers: 2,
    format: 'oci',
    architectures: ['amd64', 'arm64'],
  });
  const indexEntry = {
    mediaType: index.mediaType,
    digest: index.digest,
    size: index.manifest.length,
    annotations: {
      'io.containerd.image.name': 'docker.io/team/multi:v1',
      'org.opencontainers.image.ref.name': 'v1',
    },
  };
  const indexMembers: TarMember[] = [
    ...layoutMembers(index.children, [indexEntry]),
    [blobName(index.digest), index.manifest],
  ];

  it('keeps the digests of an index and its children', async (context) => {
    const store = directoryStore(context);
    const [imported] = await importMembers(store, indexMembers);
    assert.equal(imported?.digest, index.digest);
    const repository = repositoryOf(store, 'team/multi');
    for (const child of index.children) {
      const manifest = await repository.manifests.require(child.digest as Digest);
      assert.deepEqual(manifest.bytes, child.manifest);
      for (const [digest, bytes] of child.blobs) {
        assert.deepEqual(await bytesOf(await store.blobs.read(digest as Digest)), bytes);
      }
    }
  });

  it('takes an index whose other platforms are not in the archive', async (context) => {
    const store = memoryStore(context);
    const lacking = indexMembers.filter(
      ([name]) => name !== blobName(index.children[1]?.digest ?? ''),
    );
    assert.equal((await importMembers(store, lacking))[0]?.digest, index.digest);
    const none = lacking.filter(([name]) => name !== blobName(index.children[0]?.digest ?? ''));
    await assert.rejects(importMembers(memoryStore(context), none), /no image of the index/);
  });

  it('asks for a name where the archive has only a tag', async (context) => {
    const store = memoryStore(context);
    const members = layoutMembers([image], [described(image, 'v3')]);
    await assert.rejects(importMembers(store, members), /give NAME:TAG/);
    const [imported] = await importMembers(store, members, {
      repository: parseRepositoryName('a'),
    });
    assert.deepEqual(imported?.tags, ['v3']);
  });

  it('stores one image under several names, and what has no name beside them', async (context) => {
    const store = memoryStore(context);
    const other = makeV2Image({ seed: 64, layers: 1, format: 'oci' });
    const entries = [described(image, 'a/b:1'), described(image, 'a/b:2'), described(other)];
    await importMembers(store, layoutMembers([image, other], entries));
    const repository = repositoryOf(store, 'a/b');
    assert.deepEqual(await repository.tags.all(), ['1', '2']);
    await repository.manifests.require(other.digest as Digest);
  });

  it('wins over the manifest.json beside it', async (context) => {
    const store = memoryStore(context);
    const both = [
      ...layoutMembers([image], [described(image, 'a:b')]),
      ...dockerMembers(['other:name']),
    ];
    const [imported] = await importMembers(store, both);
    assert.deepEqual([imported?.repository, imported?.digest], ['a', image.digest]);
  });
});
