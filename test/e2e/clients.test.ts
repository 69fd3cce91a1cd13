import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { ChildServer } from '../support/child-server.ts';
import { makeV2Image, makeV2Index } from '../support/images.ts';
import { sha256 } from '../support/tar-layer.ts';
import { V2Client } from '../support/v2-client.ts';
import { writeContext } from './support/busybox-image.ts';
import { run, tool } from './support/command.ts';
import { ContainerTools } from './support/container-tools.ts';
import { startSubject } from './support/subject.ts';
import { Workspace } from './support/workspace.ts';

interface Described {
  mediaType: string;
  digest: string;
  artifactType?: string;
}

/** What clients of today do beyond push and pull: crane, regctl, helm, oras-go, buildah, skopeo. */
describe('clients of today', { timeout: 600_000 }, () => {
  let work: Workspace;
  let server: ChildServer;
  let tools: ContainerTools;
  let v2: V2Client;
  const image = makeV2Image({ seed: 41, layers: 3, format: 'oci' });
  const index = makeV2Index({
    seed: 42,
    format: 'oci',
    architectures: ['amd64', 'arm64', 's390x'],
  });

  before(async () => {
    work = await Workspace.create();
    server = work.keep(await startSubject(await work.folder('registry')));
    tools = new ContainerTools(await work.folder('tools'));
    v2 = new V2Client(server.url);
    await v2.pushImage('team/image', 'v1', image);
    await v2.pushIndex('team/index', 'v1', index);
    await regctl('registry', 'set', server.host, '--tls', 'disabled');
  });
  after(() => work.end());

  const at = (name: string) => `${server.host}/${name}`;

  async function crane(...args: string[]): Promise<string> {
    return (await run('crane', args)).toString().trim();
  }

  async function regctl(...args: string[]): Promise<string> {
    const env = { REGCTL_CONFIG: join(work.path, 'regctl.json') };
    return (await run('regctl', args, { env })).toString().trim();
  }

  async function helm(...args: string[]): Promise<void> {
    const homes = ['CACHE', 'CONFIG', 'DATA'].map((of) => [`HELM_${of}_HOME`, join(work.path, of)]);
    await run('helm', args, { cwd: work.path, env: Object.fromEntries(homes) });
  }

  async function oras<T>(...args: string[]): Promise<T> {
    return JSON.parse((await run('oras', args, { cwd: work.path })).toString()) as T;
  }

  async function manifestOf<T>(name: string, reference: string): Promise<T> {
    return JSON.parse((await v2.pullManifest(name, reference)).bytes.toString()) as T;
  }

  describe('crane', () => {
    it('finds every blob of an image valid', async () => {
      await crane('validate', '--remote', at('team/image:v1'));
      assert.equal(await crane('digest', at('team/image:v1')), image.digest);
    });

    it('copies an index with all its platforms to another repository', async () => {
      await crane('copy', at('team/index:v1'), at('crane/index:v1'));
      assert.equal(await crane('digest', at('crane/index:v1')), index.digest);
      for (const child of index.children) await v2.expectImage('crane/index', child.digest, child);
    });

    it('chooses a platform of an index', async () => {
      const arm = await crane('digest', '--platform', 'linux/arm64', at('team/index:v1'));
      assert.equal(arm, index.children[1]?.digest);
    });

    it('mounts what another repository has instead of uploading it', async () => {
      const copy = ['copy', at('team/image:v1'), at('crane/mounted:v1')];
      const log = await run('sh', ['-c', 'exec "$0" "$@" 2>&1', tool('crane'), ...copy]);
      assert.equal(log.toString().match(/mounted blob/g)?.length, image.blobs.size);
      await v2.expectImage('crane/mounted', 'v1', image);
    });

    it('lists tags and repositories', async () => {
      await crane('tag', at('team/image:v1'), 'v2');
      assert.deepEqual((await crane('ls', at('team/image'))).split('\n').sort(), ['v1', 'v2']);
      const catalog = (await crane('catalog', server.host)).split('\n');
      assert.ok(catalog.includes('team/image') && catalog.includes('team/index'));
    });

    it('deletes a manifest', async () => {
      await v2.pushImage('crane/deleted', 'v1', image);
      await crane('delete', at(`crane/deleted@${image.digest}`));
      await assert.rejects(crane('digest', at('crane/deleted:v1')), /MANIFEST_UNKNOWN|404/);
    });
  });

  describe('regctl', () => {
    it('copies an image with the artifacts that refer to it', async () => {
      await writeFile(join(work.path, 'sbom.json'), '{"sbom": true}');
      const file = join(work.path, 'sbom.json');
      const type = 'application/vnd.example.sbom.v1';
      await v2.pushImage('regctl/subject', 'v1', image);
      const put = [
        'artifact',
        'put',
        '--artifact-type',
        type,
        '--subject',
        at('regctl/subject:v1'),
      ];
      await regctl(...put, '--file', file);
      await regctl('image', 'copy', '--referrers', at('regctl/subject:v1'), at('regctl/copy:v1'));
      const list = await regctl('artifact', 'list', at('regctl/copy:v1'), '--format', '{{json .}}');
      const found = JSON.parse(list) as { descriptors: Described[] };
      assert.deepEqual(
        found.descriptors.map((d) => d.artifactType),
        [type],
      );
    });

    it('needs no fallback tag for its referrers', async () => {
      const tags = await v2.tags('regctl/subject');
      assert.deepEqual(
        tags.filter((tag) => tag.startsWith('sha256-')),
        [],
      );
    });

    it('deletes a tag and leaves the manifest', async () => {
      await v2.pushImage('regctl/tags', 'v1', image);
      await v2.pushImage('regctl/tags', 'v2', image);
      await regctl('tag', 'rm', at('regctl/tags:v1'));
      assert.equal(await regctl('tag', 'ls', at('regctl/tags')), 'v2');
      await v2.expectImage('regctl/tags', image.digest, image);
    });

    it('recompresses layers as zstd and pushes them', async () => {
      const to = at('regctl/zstd:v1');
      await regctl('image', 'mod', at('team/image:v1'), '--create', to, '--layer-compress', 'zstd');
      const { layers } = await manifestOf<{ layers: Described[] }>('regctl/zstd', 'v1');
      for (const { mediaType, digest } of layers) {
        assert.match(mediaType, /\+zstd$/);
        const blob = await v2.pullBlob('regctl/zstd', digest);
        const tar = await run('zstd', ['-dc'], { input: blob });
        assert.ok(image.layers.some((layer) => layer.diffId === sha256(tar)));
      }
    });
  });

  it('helm pushes and pulls a chart', async () => {
    await helm('create', 'chart');
    await helm('package', 'chart');
    const pulled = await work.folder('pulled');
    await helm('push', 'chart-0.1.0.tgz', `oci://${at('charts')}`, '--plain-http');
    const from = [`oci://${at('charts/chart')}`, '--version', '0.1.0'];
    await helm('pull', ...from, '--plain-http', '--destination', pulled);
    assert.deepEqual(
      await readFile(join(pulled, 'chart-0.1.0.tgz')),
      await readFile(join(work.path, 'chart-0.1.0.tgz')),
    );
  });

  it('cosign signs an image and verifies it', async () => {
    await v2.pushImage('cosign/signed', 'v1', image);
    const signed = at(`cosign/signed@${image.digest}`);
    const how = { cwd: work.path, env: { COSIGN_PASSWORD: '' } };
    const http = '--allow-http-registry';
    await run('cosign', ['generate-key-pair'], how);
    const local = ['--tlog-upload=false', '--use-signing-config=false', '--yes'];
    await run('cosign', ['sign', '--key', 'cosign.key', http, ...local, signed], how);
    const offline = ['--insecure-ignore-tlog', '--private-infrastructure'];
    await run('cosign', ['verify', '--key', 'cosign.pub', http, ...offline, signed], how);
  });

  describe('oras', () => {
    before(() => writeFile(join(work.path, 'note.txt'), 'a note\n'));

    it('pushes and pulls an artifact', async () => {
      await oras('push', at('oras/note:v1'), '--type', 'application/vnd.example.note', 'note.txt');
      await oras('pull', at('oras/note:v1'), '--output', join(work.path, 'oras'));
      assert.equal(await readFile(join(work.path, 'oras', 'note.txt'), 'utf8'), 'a note\n');
    });

    it('finds what is attached to an image, filtered by type', async () => {
      await v2.pushImage('oras/subject', 'v1', image);
      const types = ['application/vnd.example.sig', 'application/vnd.example.sbom'];
      for (const type of types)
        await oras('attach', at('oras/subject:v1'), '--type', type, 'note.txt');
      const all = await oras<Described[]>('discover', at('oras/subject:v1'));
      assert.deepEqual(all.map((d) => d.artifactType).sort(), [...types].sort());
      const one = await oras<Described[]>(
        'discover',
        at('oras/subject:v1'),
        '--type',
        types[0] ?? '',
      );
      assert.deepEqual(
        one.map((d) => d.artifactType),
        [types[0]],
      );
    });

    it('copies an image together with what is attached to it', async () => {
      await oras('copy', at('oras/subject:v1'), at('oras/copied:v1'));
      const found = await oras<Described[]>('discover', at('oras/copied:v1'));
      assert.equal(found.length, 2);
      await v2.expectImage('oras/copied', 'v1', image);
    });
  });

  describe('buildah', () => {
    before(async () => {
      const context = await writeContext(join(work.path, 'context'));
      const build = ['build', '--quiet', '--isolation', 'chroot', '--layers', '--tag', 'built'];
      await tools.buildah([...build, context]);
    });

    it('pushes zstd layers that buildah pulls again', async () => {
      const to = `docker://${at('buildah/zstd:v1')}`;
      const how = ['--quiet', '--tls-verify=false', '--format', 'oci'];
      await tools.buildah(['push', ...how, '--compression-format', 'zstd', 'built', to]);
      const { layers } = await manifestOf<{ layers: Described[] }>('buildah/zstd', 'v1');
      assert.ok(layers.every(({ mediaType }) => mediaType.endsWith('tar+zstd')));
      const other = new ContainerTools(await work.folder('tools-2'));
      await other.buildah(['pull', '--quiet', '--tls-verify=false', at('buildah/zstd:v1')]);
    });

    it('pushes an index of its own with every image in it', async () => {
      await tools.buildah(['manifest', 'create', 'list']);
      await tools.buildah(['manifest', 'add', 'list', 'built']);
      const to = `docker://${at('buildah/list:v1')}`;
      await tools.buildah([
        'manifest',
        'push',
        '--quiet',
        '--all',
        '--tls-verify=false',
        'list',
        to,
      ]);
      const { manifests } = await manifestOf<{ manifests: Described[] }>('buildah/list', 'v1');
      assert.equal(manifests.length, 1);
      for (const { digest } of manifests) {
        const { layers } = await manifestOf<{ layers: Described[] }>('buildah/list', digest);
        for (const layer of layers) await v2.pullBlob('buildah/list', layer.digest);
      }
    });
  });

  describe('skopeo', () => {
    it('copies every platform of an index and keeps the digests', async () => {
      const plain = ['--src-tls-verify=false', '--dest-tls-verify=false', '--quiet'];
      const all = ['--multi-arch', 'all', '--preserve-digests'];
      const to = `docker://${at('skopeo/index:v1')}`;
      await tools.skopeo(['copy', ...plain, ...all, `docker://${at('team/index:v1')}`, to]);
      assert.equal((await v2.pullManifest('skopeo/index', 'v1')).digest, index.digest);
    });

    it('deletes an image by its tag', async () => {
      await v2.pushImage('skopeo/deleted', 'v1', image);
      await tools.skopeo(['delete', '--tls-verify=false', `docker://${at('skopeo/deleted:v1')}`]);
      const answer = await v2.call('GET', '/v2/skopeo/deleted/manifests/v1');
      assert.equal(answer.status, 404);
    });
  });
});
