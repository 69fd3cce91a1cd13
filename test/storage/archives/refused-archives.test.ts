import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { tarEntries } from '../../../storage/archives/entry-source.ts';
import { importArchive } from '../../../storage/archives/import-archive.ts';
import {
  blobName,
  configHex,
  described,
  dockerMembers,
  image,
  importMembers,
  LIMITS,
  layoutMembers,
  put,
  without,
} from '../../support/archive-members.ts';
import { inPieces, type TarMember, tarBytes } from '../../support/archive-tar.ts';
import { everything, memoryStore } from '../../support/stores.ts';
import { sha256 } from '../../support/tar-layer.ts';

describe('archives that are refused', () => {
  const docker = dockerMembers();
  const layout = layoutMembers([image], [described(image, 'a:b')]);
  const layer = image.layers[0];
  const rows: [what: string, members: TarMember[], reason: RegExp][] = [
    ['nothing of images', [['etc/passwd', 'x']], /neither index.json/],
    ['a path above it', [['../../etc/passwd', 'x'], ...docker], /outside of itself/],
    ['an absolute path', [['/etc/passwd', 'x'], ...docker], /outside of itself/],
    [
      'a symbolic link that leaves it',
      [['0/x', { symlink: '../../etc/passwd' }], ...docker],
      /outside of itself/,
    ],
    ['an absolute link', [['0/x', { symlink: '/etc/passwd' }], ...docker], /outside of itself/],
    ['a hard link that leaves it', [['0/x', { hardlink: '../x' }], ...docker], /outside of itself/],
    [
      'layers that leave it by name',
      put(docker, 'manifest.json', [
        { Config: `${configHex}.json`, RepoTags: ['a:b'], Layers: ['../../x', 'y', 'z'] },
      ]),
      /outside of itself/,
    ],
    [
      'links in a circle',
      [
        ...put(without(docker, '0/layer.tar'), 'x', ''),
        ['0/layer.tar', { symlink: '../b' }],
        ['b', { symlink: '0/layer.tar' }],
      ],
      /run in a circle/,
    ],
    ['a layer that is missing', without(docker, '1/layer.tar'), /layer 1\/layer.tar is missing/],
    ['a config that is missing', without(docker, `${configHex}.json`), /config .* is missing/],
    [
      'a config of another digest',
      put(docker, `${configHex}.json`, Buffer.concat([image.config, Buffer.from(' ')])),
      /has the digest sha256/,
    ],
    [
      'a layer of another diff ID',
      put(docker, '1/layer.tar', image.layers[0]?.tar ?? ''),
      /has the diff ID/,
    ],
    [
      'a layer cut short',
      put(docker, '1/layer.tar', image.layers[1]?.bytes.subarray(0, 900) ?? ''),
      /can't be unpacked/,
    ],
    [
      'too few layers',
      put(docker, 'manifest.json', [
        { Config: `${configHex}.json`, RepoTags: ['a:b'], Layers: ['0/layer.tar'] },
      ]),
      /3 diff IDs, manifest.json 1/,
    ],
    ['manifest.json that is none', put(docker, 'manifest.json', '{'), /manifest.json is no JSON/],
    ['manifest.json without a list', put(docker, 'manifest.json', {}), /is no list/],
    ['no names', dockerMembers(null), /give NAME:TAG/],
    ['names that are none', dockerMembers(['Team/App:v1']), /give NAME:TAG instead/],
    [
      'a blob of another digest',
      put(
        layout,
        blobName(layer?.digest ?? ''),
        Buffer.concat([layer?.bytes as Buffer, Buffer.from('x')]),
      ),
      /has the digest sha256/,
    ],
    [
      'a blob that is missing',
      without(layout, blobName(layer?.digest ?? '')),
      /unknown to this repository/,
    ],
    ['a manifest that is missing', without(layout, blobName(image.digest)), /which is missing/],
    [
      'a descriptor of another size',
      put(layout, 'index.json', {
        schemaVersion: 2,
        manifests: [{ ...described(image, 'a:b'), size: 3 }],
      }),
      /its descriptor says 3/,
    ],
    [
      'V1 images without their base',
      [
        [`${'a'.repeat(64)}/json`, { id: 'a'.repeat(64), parent: 'b'.repeat(64) }],
        [`${'a'.repeat(64)}/layer.tar`, 'x'],
        ['repositories', { a: { b: 'a'.repeat(64) } }],
      ],
      /its parent b{64} is missing/,
    ],
  ];
  for (const [what, members, reason] of rows) {
    it(`has ${what}`, async (context) => {
      const store = memoryStore(context);
      await assert.rejects(importMembers(store, members), (error: Error & { code?: string }) => {
        assert.match(error.message, reason);
        assert.match(error.code ?? '', /^(IMAGE_INVALID|MANIFEST_BLOB_UNKNOWN)$/);
        return true;
      });
      for (const name of await store.catalog.all()) {
        assert.deepEqual(await store.repository(name).tags.all(), []);
      }
    });
  }

  it('refuses diff IDs in a layout that its layers do not have', async (context) => {
    const lying = JSON.parse(image.config.toString()) as { rootfs: { diff_ids: string[] } };
    lying.rootfs.diff_ids.reverse();
    const config = Buffer.from(JSON.stringify(lying));
    const old = sha256(image.config);
    const text = image.manifest
      .toString()
      .replace(old, sha256(config))
      .replace(`"size": ${image.config.length}`, `"size": ${config.length}`);
    const manifest = Buffer.from(text);
    const blobs = new Map(image.blobs).set(sha256(config), config);
    const liar = { ...image, manifest, blobs, digest: sha256(manifest) };
    const members = layoutMembers([liar], [described(liar, 'a:b')]);
    await assert.rejects(importMembers(memoryStore(context), members), /its config says/);
  });

  it('refuses an archive that ends early, and one that is no tar', async (context) => {
    const store = memoryStore(context);
    const bytes = await tarBytes(docker);
    const rows: [Buffer, RegExp][] = [
      [bytes.subarray(0, 5000), /no whole archive/],
      [gzipSync(bytes).subarray(0, 5000), /no whole archive/],
      [Buffer.from('hello world, this is text and no tar\n'.repeat(50)), /no whole archive/],
      [Buffer.alloc(0), /is empty/],
    ];
    for (const [part, reason] of rows) {
      const entries = tarEntries(inPieces(part), LIMITS);
      await assert.rejects(importArchive(store, entries, { reader: everything }), reason);
    }
  });

  it('refuses an archive that unpacks to too much', async (context) => {
    const store = memoryStore(context);
    const bomb = gzipSync(await tarBytes([['big', Buffer.alloc(40 * 2 ** 20)], ...docker]));
    const ratio = tarEntries(inPieces(bomb), { maxBytes: 2 ** 40, maxRatio: 100 });
    await assert.rejects(importArchive(store, ratio, { reader: everything }), /100 times its size/);
    const size = tarEntries(inPieces(bomb), { maxBytes: 2 ** 20 });
    await assert.rejects(importArchive(store, size, { reader: everything }), { code: 'TOO_LARGE' });
  });
});
