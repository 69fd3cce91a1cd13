import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { expectedFiles, makeLayers, makeV1Chain, makeV2Image, makeV2Index } from './images.ts';
import { makeLayer, sha256, tarsumOf } from './tar-layer.ts';

describe('generated layers', () => {
  it('are the same for the same seed and differ for another', () => {
    const digests = (seed: number) => makeLayers({ seed }).map((layer) => layer.diffId);
    assert.deepEqual(digests(7), digests(7));
    assert.notDeepEqual(digests(7), digests(8));
  });

  it('are archives that tar reads, ended or not', () => {
    for (const form of ['tar', 'unended'] as const) {
      const [layer] = makeLayers({ seed: 1, layers: 1, forms: [form] });
      const listing = execFileSync('tar', ['-tvf', '-'], { input: layer?.bytes }).toString();
      assert.match(listing, /-rwsr-xr-x 1000\/1000\s+2048 .* noise-0\n/);
      assert.match(listing, /soft-0 -> etc\/layer-0/);
      assert.match(listing, /hard-0 link to noise-0/);
    }
  });

  it('carry their archive in the form that was asked for', () => {
    const entries = [{ name: 'a', content: 'x' }];
    for (const form of ['gzip', 'gzip-unended'] as const) {
      const layer = makeLayer(entries, form);
      assert.deepEqual(gunzipSync(layer.bytes), layer.tar);
      assert.equal(layer.tar.length, form === 'gzip' ? 2048 : 1024);
    }
    const empty = makeLayer(entries, 'empty');
    assert.equal(
      empty.diffId,
      'sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef',
    );
  });

  it('have the tarsum of the published vector', () => {
    const json = Buffer.from(`{"id":"${'a'.repeat(64)}"}`);
    const layer = makeLayer([
      { name: 'd/', mode: 0o755, mtime: 0 },
      { name: 'a', content: 'x', mode: 0o644, mtime: 0 },
    ]);
    assert.equal(
      tarsumOf(json, layer),
      'tarsum+sha256:27da324a2859f09e9eeea20390320a063bb5c5562c37bb6dba92fec5173c43e6',
    );
  });
});

describe('generated images', () => {
  it('chain every V1 image to the one below', () => {
    const chain = makeV1Chain({ seed: 3, layers: 4 });
    for (const [n, image] of chain.entries()) {
      const json = JSON.parse(image.json.toString()) as { id: string; parent?: string };
      assert.equal(json.id, image.id);
      assert.equal(json.parent, chain[n - 1]?.id);
    }
  });

  it('name every blob of a manifest by its digest', () => {
    for (const format of ['docker', 'oci'] as const) {
      const image = makeV2Image({ seed: 4, format, forms: ['gzip', 'tar'] });
      const manifest = JSON.parse(image.manifest.toString()) as {
        config: { digest: string };
        layers: { digest: string; size: number; mediaType: string }[];
      };
      assert.equal(sha256(image.config), manifest.config.digest);
      for (const { digest, size, mediaType } of manifest.layers) {
        const blob = image.blobs.get(digest);
        assert.equal(blob?.length, size);
        assert.equal(mediaType.endsWith('gzip'), blob?.[0] === 0x1f);
      }
    }
  });

  it('list each child of an index with its platform', () => {
    const index = makeV2Index({ seed: 5, architectures: ['amd64', 'arm64'] });
    const { manifests } = JSON.parse(index.manifest.toString()) as {
      manifests: { digest: string; platform: { architecture: string } }[];
    };
    assert.deepEqual(
      manifests.map((m) => [m.digest, m.platform.architecture]),
      index.children.map((child, n) => [child.digest, n === 0 ? 'amd64' : 'arm64']),
    );
  });

  it('know which files a whiteout has hidden', () => {
    const files = expectedFiles({ seed: 6, layers: 3 });
    assert.equal(files.get('top'), '2\n');
    assert.equal(files.get('short-lived-1'), undefined);
    assert.equal(files.get('short-lived-2'), 'hidden by the next layer\n');
  });
});
