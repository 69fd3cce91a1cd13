import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type PlatformLoader,
  parsePlatform,
  pickManifest,
  platformOfUserAgent,
} from '../../../storage/bridge/platform.ts';
import { digestOf } from '../../../storage/digest.ts';
import type { Platform } from '../../../storage/manifest.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../../../storage/media-types.ts';
import { fromBase64, readVector } from '../../support/bridge-vectors.ts';

interface PlatformCase {
  name: string;
  index: string;
  asks: { prefer: string[]; pick: string | null }[];
  configs?: Record<string, Platform>;
  nested?: Record<string, string>;
}

function wishes(...texts: string[]): Platform[] {
  return texts.map((text) => parsePlatform(text) as Platform);
}

const nothing: PlatformLoader = { index: async () => undefined, platform: async () => undefined };

describe('rule P, golden vectors', () => {
  for (const { name, index, asks, configs = {}, nested = {} } of readVector<{
    cases: PlatformCase[];
  }>('platform.json').cases) {
    const loader: PlatformLoader = {
      index: async (digest) =>
        nested[digest] === undefined ? undefined : fromBase64(nested[digest]),
      platform: async (digest) => configs[digest],
    };
    for (const { prefer, pick } of asks) {
      it(`${name}: ${prefer.join(', ')}`, async () => {
        const picked = await pickManifest(fromBase64(index), wishes(...prefer), loader);
        assert.equal(picked?.digest ?? null, pick);
      });
    }
  }
});

describe('rule P', () => {
  const manifest = (name: string, platform?: unknown, more: object = {}) => ({
    mediaType: OCI_MANIFEST,
    digest: digestOf(name),
    size: 1,
    ...(platform === undefined ? {} : { platform }),
    ...more,
  });
  const indexOf = (...manifests: unknown[]) =>
    Buffer.from(JSON.stringify({ schemaVersion: 2, manifests }));
  const pick = async (index: Buffer, ...texts: string[]) =>
    (await pickManifest(index, wishes(...texts), nothing))?.digest;
  const amd64 = { os: 'linux', architecture: 'amd64' };

  it('opens nested indexes in place, four deep and no deeper', async () => {
    const bodies = new Map<string, Buffer>();
    const loader: PlatformLoader = { ...nothing, index: async (digest) => bodies.get(digest) };
    let index = indexOf(manifest('image', amd64));
    for (let depth = 1; depth <= 5; depth++) {
      const digest = digestOf(index);
      bodies.set(digest, index);
      index = indexOf({ mediaType: OCI_INDEX, digest, size: index.length });
      const picked = await pickManifest(index, wishes('linux/amd64'), loader);
      assert.equal(picked?.digest, depth <= 4 ? digestOf('image') : undefined, `${depth} deep`);
    }
  });
  it('passes over artifacts, and over entries that are no descriptors', async () => {
    const index = indexOf(
      manifest('a', amd64, { artifactType: 'x/y' }),
      null,
      1,
      { digest: 'x' },
      { ...manifest('b', amd64), digest: 'sha256:x' },
      manifest('c', { os: 1 }),
      manifest('d', amd64),
    );
    assert.equal(await pick(index, 'linux/amd64'), digestOf('d'));
    assert.equal(await pick(Buffer.from('[]'), 'linux/amd64'), undefined);
    assert.equal(await pick(Buffer.from('null'), 'linux/amd64'), undefined);
    assert.equal(await pick(Buffer.from('{'), 'linux/amd64'), undefined);
  });
  it('asks the config where the platform is null', async () => {
    const loader: PlatformLoader = { ...nothing, platform: async () => amd64 };
    const index = indexOf({ ...manifest('a'), platform: null });
    assert.equal((await pickManifest(index, wishes('linux/amd64'), loader))?.digest, digestOf('a'));
  });
  it('knows armhf, armel, i686 and macOS under their other names', async () => {
    const index = indexOf(
      manifest('v7', { os: 'Linux', architecture: 'armhf' }),
      manifest('v6', { os: 'linux', architecture: 'armel' }),
      manifest('386', { os: 'linux', architecture: 'i686' }),
      manifest('mac', { os: 'macOS', architecture: 'X86-64', variant: 'v1' }),
    );
    assert.equal(await pick(index, 'linux/arm/v7'), digestOf('v7'));
    assert.equal(await pick(index, 'linux/arm'), digestOf('v6'));
    assert.equal(await pick(index, 'linux/386'), digestOf('386'));
    assert.equal(await pick(index, 'darwin/amd64'), digestOf('mac'));
  });
  it('takes an architecture for no more than a name', async () => {
    const index = indexOf(
      manifest('a', { os: 'linux', architecture: 'constructor' }),
      manifest('b', amd64),
    );
    assert.equal(await pick(index, 'linux/amd64'), digestOf('b'));
  });
  it('gives other architectures the asked variant, then none', async () => {
    const index = indexOf(
      manifest('none', { os: 'linux', architecture: 'ppc64le' }),
      manifest('x', { os: 'linux', architecture: 'ppc64le', variant: 'x' }),
    );
    assert.equal(await pick(index, 'linux/ppc64le/x'), digestOf('x'));
    assert.equal(await pick(index, 'linux/ppc64le/y'), digestOf('none'));
    assert.equal(await pick(index, 'linux/ppc64le'), digestOf('none'));
  });
});

describe('platforms in text', () => {
  it('are os/arch or os/arch/variant', () => {
    assert.deepEqual(parsePlatform('Linux/aarch64/v8'), { os: 'linux', architecture: 'arm64' });
    assert.deepEqual(parsePlatform('linux/armhf'), {
      os: 'linux',
      architecture: 'arm',
      variant: 'v7',
    });
    for (const text of ['', 'linux', 'linux/', '/amd64', 'a/b/c/d'])
      assert.equal(parsePlatform(text), undefined);
  });
  it('stand in the User-Agent of docker up to 1.12, and no other agent is asked', () => {
    const agent =
      'docker/1.12.6 go/go1.6.4 git-commit/78d1802 kernel/4.4.0 os/linux arch/arm UpstreamClient(Docker-Client/1.12.6 \\(linux\\))';
    assert.deepEqual(platformOfUserAgent(agent), { os: 'linux', architecture: 'arm' });
    for (const other of [
      undefined,
      '',
      'docker/1.5.0',
      'docker/1.9 os/linux',
      `Mozilla ${agent}`,
    ]) {
      assert.equal(platformOfUserAgent(other), undefined);
    }
  });
});
