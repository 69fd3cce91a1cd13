import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type ChildServer, startIsthmus } from '../../support/child-server.ts';
import { expectedFiles, makeV1Chain, makeV2Image, makeV2Index } from '../../support/images.ts';
import { sha256 } from '../../support/tar-layer.ts';
import { V1Client } from '../../support/v1-client.ts';
import { V2Client } from '../../support/v2-client.ts';
import { ContainerTools } from './container-tools.ts';
import { type DistributionVersion, startDistribution } from './distribution.ts';
import { expectRootfs } from './rootfs.ts';
import { Workspace } from './workspace.ts';

const DOCKER = { seed: 21, layers: 4 };
const OCI = { seed: 22, layers: 2, format: 'oci' as const };
const docker = makeV2Image(DOCKER);
const replaced = makeV2Image({ ...DOCKER, seed: 23 });
const oci = makeV2Image(OCI);
const index = makeV2Index({
  seed: 24,
  layers: 1,
  format: 'oci',
  architectures: ['amd64', 'arm64'],
});
const list = makeV2Index({
  seed: 26,
  layers: 1,
  format: 'docker',
  architectures: ['amd64', 'arm64'],
});
const lonely = makeV2Image({ seed: 28, layers: 1 });
const halves = [makeV2Image({ seed: 29, layers: 1, bytes: 90_000 }).layers[0]?.bytes].flatMap(
  (bytes) => (bytes === undefined ? [] : [bytes.subarray(0, 50_000), bytes.subarray(50_000)]),
);
const whole = Buffer.concat(halves);

interface Written {
  /** Path of the upload that was left in progress, without a query. */
  upload: string;
  catalog: string[];
}

/** Fills a registry with everything whose form on disk matters. */
async function fill(url: string): Promise<Written> {
  const client = new V2Client(url);
  await client.pushImage('team/docker', 'v1', replaced);
  await client.pushImage('team/docker', 'v1', docker, 1000);
  await client.pushImage('team/docker', 'v2', docker);
  await client.pushImage('team/oci', 'v1', oci);
  await client.pushIndex('deep/er/index', 'v1', index);
  await client.pushIndex('deep/er/index', 'list', list);
  await client.pushImage('team/digest-only', lonely.digest, lonely);
  await client.pushImage('team/emptied', 'v1', lonely);
  await client.deleteManifest('team/emptied', lonely.digest);
  assert.equal(await client.mount('team/mounted', firstLayer(docker), 'team/docker'), true);
  const begun = await client.startUpload('team/docker');
  const location = await client.sendChunk(begun, 0, halves[0] ?? Buffer.alloc(0));
  return { upload: new URL(location, url).pathname, catalog: await client.catalog(3) };
}

function firstLayer(image: typeof docker): string {
  return image.layers[0]?.digest ?? '';
}

/** Checks that a registry serves what `fill` wrote. */
async function expectFilled(url: string): Promise<void> {
  const client = new V2Client(url);
  await client.expectImage('team/docker', 'v1', docker);
  await client.expectImage('team/docker', 'v2', docker);
  await client.expectImage('team/docker', replaced.digest, replaced);
  await client.expectImage('team/oci', 'v1', oci);
  await client.expectImage('team/digest-only', lonely.digest, lonely);
  for (const [tag, { mediaType, manifest, children }] of [
    ['v1', index],
    ['list', list],
  ] as const) {
    const pulled = await client.pullManifest('deep/er/index', tag, [mediaType]);
    assert.equal(pulled.mediaType, mediaType);
    assert.deepEqual(pulled.bytes, manifest);
    for (const child of children) await client.expectImage('deep/er/index', child.digest, child);
  }
  assert.deepEqual((await client.tags('team/docker')).sort(), ['v1', 'v2']);
  assert.equal(await client.hasBlob('team/mounted', firstLayer(docker)), true);
  assert.equal(await client.hasBlob('team/oci', firstLayer(docker)), false);
  const emptied = await client.call('GET', '/v2/team/emptied/manifests/v1');
  assert.equal(emptied.status, 404);
  const tags = await client.call('GET', '/v2/team/emptied/tags/list');
  assert.ok([200, 404].includes(tags.status), `tags of an emptied repository: ${tags.status}`);
}

/**
 * The location of an upload as distribution makes it: signed with the secret of `startDistribution` (v2.md 1.12), since
 * what another program wrote carries no signature of its.
 */
function signedLocation(path: string, offset: number, startedAt: string): string {
  const [, name = '', uuid = ''] = /^\/v2\/(.+)\/blobs\/uploads\/([^/]+)$/.exec(path) ?? [];
  const state = JSON.stringify({ Name: name, UUID: uuid, Offset: offset, StartedAt: startedAt });
  const signature = createHmac('sha256', 'e2e').update(state).digest();
  const token = Buffer.concat([signature, Buffer.from(state)]).toString('base64url');
  return `${path}?_state=${token.padEnd(Math.ceil(token.length / 4) * 4, '=')}`;
}

async function finish(url: string, location: string): Promise<void> {
  const client = new V2Client(url);
  assert.equal(await client.uploadOffset(location), 50_000);
  const next = await client.sendChunk(location, 50_000, halves[1] ?? Buffer.alloc(0));
  await client.finishUpload(next, sha256(whole));
  assert.deepEqual(await client.pullBlob('team/docker', sha256(whole)), whole);
}

/** 2.8 lists a repository that holds nothing but a mounted layer, 3.1 and we do not (v2.md 1.6). */
function withManifests(catalog: string[]): string[] {
  return catalog.filter((name) => name !== 'team/mounted');
}

/** One storage root, written by one and served by the other, both ways round. */
export function describeDropIn(version: DistributionVersion): void {
  describe(`a storage root of distribution ${version}`, { timeout: 300_000 }, () => {
    let work: Workspace;
    let root = '';
    let ours: ChildServer;
    let written: Written;

    before(async () => {
      work = await Workspace.create();
      root = await work.folder('registry');
      const theirs = await startDistribution(version, root);
      written = await fill(theirs.url);
      await theirs.stop();
      ours = work.keep(await startIsthmus({ storage: root }));
    });
    after(() => work.end());

    it('is served by us unchanged', () => expectFilled(ours.url));

    it('has the same catalog with us', async () => {
      const catalog = await new V2Client(ours.url).catalog(2);
      assert.deepEqual(catalog, withManifests(written.catalog));
    });

    it('is served over V1 with the right files', async () => {
      const { images } = await new V1Client(ours.url).pull('team/docker', 'v1');
      const layers = images.map((image) => image.layer);
      assert.deepEqual(
        layers.map(sha256),
        docker.layers.map((layer) => layer.digest),
      );
      await expectRootfs(layers, join(work.path, 'rootfs'), expectedFiles(DOCKER));
    });

    it('has an upload in progress that goes on with us', () => finish(ours.url, written.upload));

    it('is served by distribution again after we wrote to it', async () => {
      const more = makeV2Image({ seed: 30 });
      await new V2Client(ours.url).pushImage('team/docker', 'v3', more);
      const theirs = await startDistribution(version, root);
      try {
        await expectTaggedSince(theirs.url, more);
      } finally {
        await theirs.stop();
      }
    });

    async function expectTaggedSince(url: string, more: typeof docker): Promise<void> {
      const client = new V2Client(url);
      await client.expectImage('team/docker', 'v3', more);
      await client.expectImage('team/docker', 'v1', docker);
      assert.deepEqual((await client.tags('team/docker')).sort(), ['v1', 'v2', 'v3']);
    }
  });

  describe(`our storage root under distribution ${version}`, { timeout: 300_000 }, () => {
    let work: Workspace;
    let root = '';
    let theirs: ChildServer;
    let written: Written;
    let pushed: unknown;
    const chain = makeV1Chain({ seed: 31, layers: 3, forms: ['gzip', 'tar'] });

    before(async () => {
      work = await Workspace.create();
      root = await work.folder('registry');
      const ours = await startIsthmus({ storage: root });
      try {
        written = await fill(ours.url);
        // A registry that refuses V1 fails the one test about it, not those about V2.
        pushed = await new V1Client(ours.url).push('team/born-v1', 'v1', chain).then(
          () => undefined,
          (error: unknown) => error,
        );
      } finally {
        await ours.stop();
      }
      theirs = work.keep(await startDistribution(version, root));
    });
    after(() => work.end());

    it('is served by it unchanged', () => expectFilled(theirs.url));

    it('has the same catalog', async () => {
      const catalog = withManifests(await new V2Client(theirs.url).catalog());
      assert.deepEqual(
        catalog.filter((name) => name !== 'team/born-v1'),
        withManifests(written.catalog),
      );
    });

    it('keeps every digest that a tag ever had as an index link', async () => {
      const tag = join(root, 'docker/registry/v2/repositories/team/docker/_manifests/tags/v1');
      assert.equal(await readFile(join(tag, 'current/link'), 'utf8'), docker.digest);
      for (const { digest } of [docker, replaced]) {
        const link = join(tag, 'index/sha256', digest.slice(7), 'link');
        assert.equal(existsSync(link) && (await readFile(link, 'utf8')), digest);
      }
    });

    it('has an upload in progress that goes on there', async () => {
      const upload = written.upload.split('/').at(-1) ?? '';
      const folder = join(root, 'docker/registry/v2/repositories/team/docker/_uploads', upload);
      const startedAt = await readFile(join(folder, 'startedat'), 'utf8');
      assert.match(startedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      await finish(theirs.url, signedLocation(written.upload, 50_000, startedAt));
    });

    it('shows an image that was pushed over V1', async () => {
      assert.equal(pushed, undefined);
      const tools = new ContainerTools(await work.folder('tools'));
      const image = `${theirs.host}/team/born-v1:v1`;
      const layers = await tools.skopeoLayers(image, join(work.path, 'dir'));
      assert.deepEqual(
        layers.map(sha256),
        chain.map((one) => sha256(one.layer)),
      );
    });

    it('lets it delete a manifest together with its tags', async () => {
      const client = new V2Client(theirs.url);
      await client.deleteManifest('team/docker', docker.digest);
      for (const tag of ['v1', 'v2']) {
        assert.equal((await client.call('GET', `/v2/team/docker/manifests/${tag}`)).status, 404);
      }
    });
  });
}
