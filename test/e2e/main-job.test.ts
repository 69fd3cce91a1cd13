import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { ChildServer } from '../support/child-server.ts';
import { expectedFiles, type ImageOptions, makeV1Chain, type V1Image } from '../support/images.ts';
import { sha256 } from '../support/tar-layer.ts';
import { V1Client } from '../support/v1-client.ts';
import type { EngineVersion } from '../support/v1-engine.ts';
import { V2Client } from '../support/v2-client.ts';
import {
  BUILT_FILES,
  BUILT_LAYERS,
  BUILT_OUTPUT,
  busyboxEntries,
  writeContext,
} from './support/busybox-image.ts';
import { run } from './support/command.ts';
import { ContainerTools } from './support/container-tools.ts';
import { DockerDaemon } from './support/docker-daemon.ts';
import { expectRootfs } from './support/rootfs.ts';
import { startSubject } from './support/subject.ts';
import { Workspace } from './support/workspace.ts';

/** An image pushed over either protocol is pulled over the other, by real clients, from one store. */
describe('the main job', { timeout: 600_000 }, () => {
  let work: Workspace;
  let server: ChildServer;
  let daemon: DockerDaemon;
  let tools: ContainerTools;
  let v2: V2Client;

  before(async () => {
    work = await Workspace.create();
    server = work.keep(await startSubject(await work.folder('registry')));
    daemon = work.keep(await DockerDaemon.start(await work.folder('docker')));
    tools = new ContainerTools(await work.folder('tools'));
    v2 = new V2Client(server.url);
    const context = await writeContext(await work.folder('context'));
    await daemon.docker(['build', '--quiet', '--network', 'none', '--tag', 'built', context]);
  });
  after(() => work.end());

  /** Pushes what was built under `name` from docker 20.10. */
  async function dockerPush(name: string): Promise<void> {
    const image = `${server.host}/${name}`;
    await daemon.docker(['tag', 'built', image]);
    await daemon.docker(['push', '--quiet', image]);
  }

  /** The layers of a manifest over V2, base first. */
  async function v2Layers(name: string, tag: string): Promise<Buffer[]> {
    const manifest = JSON.parse((await v2.pullManifest(name, tag)).bytes.toString()) as {
      layers: { digest: string }[];
    };
    return Promise.all(manifest.layers.map(({ digest }) => v2.pullBlob(name, digest)));
  }

  describe('an image that docker 20.10 pushed', () => {
    for (const version of ['0.7.6', '1.5.0'] satisfies EngineVersion[]) {
      it(`is pulled by docker ${version}, parent by parent, with every layer's bytes equal`, async () => {
        const name = `team/built-for-${version}`;
        await dockerPush(`${name}:v1`);
        const pulled = await new V1Client(server.url, version).pull(name, 'v1');
        const layers = pulled.images.map((image) => image.layer);
        assert.equal(layers.length, BUILT_LAYERS);
        assert.deepEqual(layers.map(sha256), (await v2Layers(name, 'v1')).map(sha256));
        await expectRootfs(layers, join(work.path, `rootfs-${version}`), BUILT_FILES);
      });
    }

    it('has the image ID over V1 that docker shows', async () => {
      await dockerPush('team/ids:v1');
      const { top } = await new V1Client(server.url).pull('team/ids', 'v1');
      const id = await daemon.docker(['image', 'inspect', '--format', '{{.Id}}', 'built']);
      assert.equal(`sha256:${top}`, id.trim());
    });

    it('resumes over V1 after a broken connection', async () => {
      await dockerPush('team/cut:v1');
      const pulled = await new V1Client(server.url).pull('team/cut', 'v1', { cutAfter: 40 });
      assert.equal(pulled.resumed, BUILT_LAYERS);
      assert.deepEqual(
        pulled.images.map((image) => sha256(image.layer)),
        (await v2Layers('team/cut', 'v1')).map(sha256),
      );
    });

    it("is pulled by docker's own V1 library", async () => {
      await dockerPush('team/library:v1');
      await run('dockerv1', ['pull', server.url, 'team/library', 'v1', '--any']);
    });

    it('is known to V1 under its bare name and under library/', async () => {
      await dockerPush('bare:v1');
      const client = new V1Client(server.url);
      const { top } = await client.pull('bare', 'v1');
      assert.equal((await client.pull('library/bare', 'v1')).top, top);
    });
  });

  describe('an image that podman pushed', () => {
    it('is pulled over V1 with the right files', async () => {
      await dockerPush('team/for-podman:v1');
      const image = `${server.host}/team/for-podman:v1`;
      await tools.podmanPull(image);
      await tools.podman(['tag', image, `${server.host}/team/by-podman:v1`]);
      await tools.podmanPush(`${server.host}/team/by-podman:v1`, '--format', 'oci');
      const pulled = await new V1Client(server.url).pull('team/by-podman', 'v1');
      const layers = pulled.images.map((i) => i.layer);
      await expectRootfs(layers, join(work.path, 'rootfs-podman'), BUILT_FILES);
    });
  });

  describe('an image that skopeo pushed', () => {
    it('is pulled over V1 with the right files', async () => {
      await dockerPush('team/for-skopeo:v1');
      const plain = ['--src-tls-verify=false', '--dest-tls-verify=false', '--quiet'];
      const at = `docker://${server.host}/team`;
      await tools.skopeo([
        'copy',
        ...plain,
        '--format',
        'oci',
        `${at}/for-skopeo:v1`,
        `${at}/by-skopeo:v1`,
      ]);
      const pulled = await new V1Client(server.url).pull('team/by-skopeo', 'v1');
      const layers = pulled.images.map((i) => i.layer);
      await expectRootfs(layers, join(work.path, 'rootfs-skopeo'), BUILT_FILES);
    });
  });

  const pushes: { version: EngineVersion; options: ImageOptions }[] = [
    { version: '0.7.6', options: { seed: 7, layers: 5, forms: ['gzip-unended'] } },
    { version: '1.5.0', options: { seed: 15, layers: 6, forms: ['gzip', 'tar', 'empty'] } },
  ];
  for (const { version, options } of pushes) {
    describe(`an image that docker ${version} pushed`, () => {
      const name = `team/v1-${version}`;
      let chain: V1Image[] = [];
      const shown = new Map(
        // A layer of the form `empty` adds nothing, so only files of the other layers are looked for.
        [...expectedFiles(options)].filter(([path]) => /layer-[013]$/.test(path)),
      );
      const look = ['/bin/busybox', 'cat', '/etc/layer-0', '/etc/layer-3'];
      const seen = [0, 3].map((n) => `layer ${n} of seed ${options.seed}\n`).join('');

      before(async () => {
        chain = makeV1Chain({ ...options, base: await busyboxEntries() });
        const report = await new V1Client(server.url, version).push(name, 'v1', chain);
        assert.equal(report.uploaded.length, chain.length);
      });

      it('is given back over V1 byte for byte', async () => {
        const pulled = await new V1Client(server.url, version).pull(name, 'v1');
        for (const [n, image] of pulled.images.entries()) {
          assert.deepEqual(image.json, chain[n]?.json);
          assert.deepEqual(image.layer, chain[n]?.layer);
        }
        assert.equal(pulled.images.length, chain.length);
      });

      it('runs in docker 20.10', async () => {
        await daemon.docker(['pull', '--quiet', `${server.host}/${name}:v1`]);
        assert.equal(await daemon.runContainer(`${server.host}/${name}:v1`, look), seen);
      });

      it('runs in podman', async () => {
        await tools.podmanPull(`${server.host}/${name}:v1`);
        assert.equal(await tools.runContainer(`${server.host}/${name}:v1`, look), seen);
      });

      it('is unpacked by skopeo with the right files', async () => {
        const folder = join(work.path, `skopeo-${version}`);
        const layers = await tools.skopeoLayers(`${server.host}/${name}:v1`, `${folder}-dir`);
        await expectRootfs(layers, `${folder}-rootfs`, shown);
      });

      it('is pushed again without uploading anything', async () => {
        const report = await new V1Client(server.url, version).push(name, 'v2', chain);
        assert.deepEqual(report.uploaded, []);
        assert.deepEqual((await v2.tags(name)).sort(), ['v1', 'v2']);
      });
    });
  }

  describe("an image that docker's own V1 library pushed", () => {
    for (const format of ['engine', 'mixed']) {
      it(`comes back unchanged and is pulled by docker, podman and skopeo (${format})`, async () => {
        const name = `team/dockerv1-${format}`;
        const shape = ['--layers', '6', '--seed', '9', '--format', format];
        await run('dockerv1', ['push', server.url, name, 'v1', ...shape]);
        await run('dockerv1', ['pull', server.url, name, 'v1', ...shape]);
        const image = `${server.host}/${name}:v1`;
        const files = new Map([
          ['etc/layer-5', 'layer 5 of seed 9\n'],
          ['empty-4', undefined],
          ['empty-5', ''],
          ['ünï/côde-日本', 'a name outside ASCII'],
        ]);
        await daemon.docker(['pull', '--quiet', image]);
        const exported = await daemon.exportImage(image);
        await expectRootfs([exported], join(work.path, `exported-${format}`), files);
        await tools.podmanPull(image);
        const folder = join(work.path, `skopeo-dockerv1-${format}`);
        const layers = await tools.skopeoLayers(image, `${folder}-dir`);
        await expectRootfs(layers, `${folder}-rootfs`, files);
      });
    }

    it('is refused with wrong checksums', async () => {
      const name = 'team/dockerv1-bad';
      await run('dockerv1', ['push', server.url, name, 'v1', '--seed', '10', '--bad-checksum']);
      await assert.rejects(new V1Client(server.url).pull(name, 'v1'));
    });
  });

  it('gives a V2 image that V1 pulled and tagged its old digest', async () => {
    await dockerPush('team/retag:v1');
    const client = new V1Client(server.url);
    const pulled = await client.pull('team/retag', 'v1');
    const report = await client.push('team/retag', 'v2', pulled.images);
    assert.deepEqual(report.uploaded, []);
    const [one, two] = await Promise.all(
      ['v1', 'v2'].map((tag) => v2.pullManifest('team/retag', tag)),
    );
    assert.equal(one?.digest, two?.digest);
  });

  it('lets docker 20.10 run what it pushed, after a round trip', async () => {
    await dockerPush('team/round:v1');
    const image = `${server.host}/team/round:v1`;
    await daemon.forget(image);
    await daemon.docker(['pull', '--quiet', image]);
    assert.equal(await daemon.runContainer(image), BUILT_OUTPUT);
  });
});
