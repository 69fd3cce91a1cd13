import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { extract } from 'tar-stream';
import { tarEntries } from '../../../storage/archives/entry-source.ts';
import { type ArchiveFormat, planArchive } from '../../../storage/archives/export-archive.ts';
import { importArchive } from '../../../storage/archives/import-archive.ts';
import { tarOf, tarSize } from '../../../storage/archives/tar-writer.ts';
import type { ContentStore } from '../../../storage/content-store.ts';
import type { Digest } from '../../../storage/digest.ts';
import { parseManifest } from '../../../storage/manifest.ts';
import {
  parseRepositoryName,
  parseTag,
  type RepositoryName,
  type Tag,
} from '../../../storage/names.ts';
import { inPieces } from '../../support/archive-tar.ts';
import {
  fromBase64,
  readLayers,
  readVectors,
  type V2ToV1Vector,
} from '../../support/bridge-vectors.ts';
import { makeV2Image, makeV2Index, type V2Image } from '../../support/images.ts';
import { bytesOf, everything, memoryStore } from '../../support/stores.ts';
import { sha256 } from '../../support/tar-layer.ts';

const APP = parseRepositoryName('team/app');
const V1 = parseTag('v1');
const V2 = parseTag('v2');

async function store(
  content: ContentStore,
  blobs: Iterable<Buffer>,
  manifest: Buffer,
  tags: Tag[],
): Promise<void> {
  const repository = content.repository(APP);
  for (const bytes of blobs) {
    await repository.uploads.receive(sha256(bytes) as Digest, Readable.from([bytes]));
  }
  await repository.putManifest(parseManifest(manifest), tags);
}

const push = (content: ContentStore, image: V2Image, ...tags: Tag[]) =>
  store(content, image.blobs.values(), image.manifest, tags);

async function archive(
  content: ContentStore,
  format: ArchiveFormat,
  tag?: Tag,
  name: RepositoryName = APP,
  platform?: { os: string; architecture: string },
): Promise<Buffer> {
  const files = await planArchive(
    content,
    [{ repository: name, ...(tag && { tag }) }],
    format,
    platform,
  );
  const bytes = await bytesOf(tarOf(files));
  assert.equal(bytes.length, tarSize(files), 'the size that was told before');
  return bytes;
}

async function filesOf(tar: Buffer): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  const reader = extract();
  reader.end(tar);
  for await (const entry of reader) {
    assert.equal(files.has(entry.header.name), false, `${entry.header.name} stands there twice`);
    assert.equal(entry.header.mtime?.getTime(), 0);
    files.set(entry.header.name, await bytesOf(Readable.from(entry)));
  }
  return files;
}

describe("exporting in docker's format", () => {
  const layers = readLayers();
  for (const [file, vector] of readVectors<V2ToV1Vector>('v2v1-')) {
    const saved = vector.dockerSave;
    if (!saved) continue;
    it(`writes the ids and JSON of docker save: ${file}`, async (context) => {
      const content = memoryStore(context);
      const blobs = vector.layers.map(({ layer }) => fromBase64(layers.get(layer)?.blob ?? ''));
      const config = fromBase64(vector.config.base64);
      await store(content, [config, ...blobs], fromBase64(vector.manifest.base64), [V1]);
      const files = await filesOf(await archive(content, 'docker', V1));
      const [manifest] = JSON.parse(files.get('manifest.json')?.toString() ?? '') as Record<
        string,
        unknown
      >[];
      assert.deepEqual(manifest, {
        Config: `${vector.config.digest.slice(7)}.json`,
        RepoTags: ['team/app:v1'],
        Layers: saved.map(({ id }) => `${id}/layer.tar`),
      });
      assert.deepEqual(files.get(`${vector.config.digest.slice(7)}.json`), config);
      for (const [at, { id, json }] of saved.entries()) {
        assert.equal(files.get(`${id}/json`)?.toString('base64'), json);
        assert.equal(files.get(`${id}/VERSION`)?.toString(), '1.0');
        assert.equal(sha256(files.get(`${id}/layer.tar`) as Buffer), vector.layers[at]?.diffID);
      }
      const repositories = JSON.parse(files.get('repositories')?.toString() ?? '') as unknown;
      assert.deepEqual(repositories, { 'team/app': { v1: saved.at(-1)?.id } });
    });
  }

  it('writes shared layers and images with several tags once', async (context) => {
    const content = memoryStore(context);
    await push(content, makeV2Image({ seed: 1, layers: 3 }), V1, V2);
    await push(content, makeV2Image({ seed: 1, layers: 2 }), parseTag('v3'));
    const files = await filesOf(await archive(content, 'docker'));
    const manifest = JSON.parse(files.get('manifest.json')?.toString() ?? '') as {
      RepoTags: string[];
    }[];
    assert.deepEqual(
      manifest.map(({ RepoTags }) => RepoTags),
      [['team/app:v1', 'team/app:v2'], ['team/app:v3']],
    );
    // Two below the top of the larger image, one below that of the smaller: the lowest is the same.
    assert.equal([...files.keys()].filter((name) => name.endsWith('layer.tar')).length, 4);
  });

  it('takes the platform of an index that was asked for', async (context) => {
    const content = memoryStore(context);
    const index = makeV2Index({ seed: 2, layers: 1, architectures: ['amd64', 'arm64'] });
    for (const child of index.children) await push(content, child);
    await store(content, [], index.manifest, [V1]);
    for (const [at, architecture] of ['amd64', 'arm64'].entries()) {
      const tar = await archive(content, 'docker', V1, APP, { os: 'linux', architecture });
      const config = sha256(index.children[at]?.config as Buffer).slice(7);
      assert.ok((await filesOf(tar)).has(`${config}.json`));
    }
    const none = archive(content, 'docker', V1, APP, { os: 'plan9', architecture: 'mips' });
    await assert.rejects(none, /no image for this platform/);
  });

  it('says why an image can not be told so', async (context) => {
    const content = memoryStore(context);
    const config = Buffer.from('{"rootfs":{"type":"layers","diff_ids":[]}}');
    const descriptor = {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: sha256(config),
      size: config.length,
    };
    const manifest = {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: descriptor,
      layers: [],
    };
    await store(content, [config], Buffer.from(JSON.stringify(manifest)), [V1]);
    await assert.rejects(
      archive(content, 'docker', V1),
      /no layers, which docker refuses; use the format oci/,
    );
    await assert.rejects(archive(content, 'docker', V2), { code: 'TAG_UNKNOWN' });
    await assert.rejects(archive(content, 'docker', V1, parseRepositoryName('none')), {
      code: 'NAME_UNKNOWN',
    });
    assert.ok((await archive(content, 'oci', V1)).length > 0);
  });
});

describe('archives that are imported again', () => {
  const shapes: [string, ArchiveFormat, V2Image][] = [
    ["docker's image in docker's format", 'docker', makeV2Image({ seed: 3, layers: 4 })],
    [
      "an OCI image in docker's format",
      'docker',
      makeV2Image({ seed: 4, layers: 2, format: 'oci' }),
    ],
    ['plain layers', 'docker', makeV2Image({ seed: 5, layers: 2, forms: ['tar'] })],
    ["docker's image as OCI layout", 'oci', makeV2Image({ seed: 6, layers: 3 })],
    ['an OCI image as OCI layout', 'oci', makeV2Image({ seed: 7, layers: 3, format: 'oci' })],
  ];
  for (const [what, format, image] of shapes) {
    it(`keep what is theirs: ${what}`, async (context) => {
      const first = memoryStore(context);
      await push(first, image, V1);
      const second = memoryStore(context);
      const tar = await archive(first, format, V1);
      const entries = tarEntries(inPieces(tar), { maxBytes: 2 ** 30 });
      await importArchive(second, entries, { reader: everything });
      const manifest = await second.repository(APP).resolveTag(V1);
      assert.equal(manifest?.config?.digest, sha256(image.config));
      if (format === 'oci') assert.deepEqual(manifest?.bytes, image.manifest);
      assert.deepEqual(await archive(second, format, V1), tar);
    });
  }

  it('keep an index whole as OCI layout', async (context) => {
    const first = memoryStore(context);
    const index = makeV2Index({
      seed: 8,
      layers: 1,
      format: 'oci',
      architectures: ['amd64', 'arm64'],
    });
    for (const child of index.children) await push(first, child);
    await store(first, [], index.manifest, [V1]);
    const second = memoryStore(context);
    const tar = await archive(first, 'oci', V1);
    await importArchive(second, tarEntries(inPieces(tar), { maxBytes: 2 ** 30 }), {
      reader: everything,
    });
    assert.deepEqual((await second.repository(APP).resolveTag(V1))?.bytes, index.manifest);
    assert.deepEqual(await archive(second, 'oci', V1), tar);
  });
});
