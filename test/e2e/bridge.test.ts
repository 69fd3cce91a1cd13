import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { BridgeClient, type ChainImage, SCHEMA2 } from '../support/bridge-client.ts';
import type { ChildServer } from '../support/child-server.ts';
import { expectedFiles, makeV2Image, makeV2Index } from '../support/images.ts';
import { type OddForm, oddLayer } from '../support/odd-images.ts';
import { sha256, type TarEntry } from '../support/tar-layer.ts';
import { V1Client } from '../support/v1-client.ts';
import { V2Client } from '../support/v2-client.ts';
import { busyboxEntries } from './support/busybox-image.ts';
import { run } from './support/command.ts';
import { ContainerTools } from './support/container-tools.ts';
import { DockerDaemon } from './support/docker-daemon.ts';
import { expectFiles, expectRootfs, unpack } from './support/rootfs.ts';
import { startSubject } from './support/subject.ts';
import { Workspace } from './support/workspace.ts';

const UNICODE = 'Zoë <&> 日本 "q" \\ 𝄞';

/** Images that only the bridge can give to a client, taken by today's clients and by old engines. */
describe('the bridge under real clients', { timeout: 1_200_000 }, () => {
  let work: Workspace;
  let server: ChildServer;
  let daemon: DockerDaemon;
  let tools: ContainerTools;
  const client = new BridgeClient(() => server.url);

  before(async () => {
    work = await Workspace.create();
    server = work.keep(await startSubject(await work.folder('registry')));
    daemon = work.keep(await DockerDaemon.start(await work.folder('docker')));
    tools = new ContainerTools(await work.folder('tools'));
  });
  after(() => work.end());

  /** An image for each layer; the top's JSON has no `created`, and text that JSON writes in several ways. */
  function chainOf(name: string, layers: Buffer[]): ChainImage[] {
    const idOf = (n: number) => sha256(`${name} ${n}`).slice(7);
    return layers.map((layer, n) => {
      const line = { id: idOf(n), ...(n > 0 && { parent: idOf(n - 1) }) };
      const config = {
        Env: ['PATH=/bin', `TEXT=${UNICODE}`],
        Cmd: ['/bin/busybox', 'cat', '/text'],
      };
      const top = { ...line, author: UNICODE, docker_version: '1.5.0', config, big: 1e20 };
      return {
        id: line.id,
        json: Buffer.from(JSON.stringify(n === layers.length - 1 ? top : line)),
        layer,
      };
    });
  }

  const text = (name: string): TarEntry[] => [{ name: 'text', content: `${name}\n` }];

  async function oddChain(name: string, forms: OddForm[]): Promise<ChainImage[]> {
    const shell = oddLayer('gzip', await busyboxEntries()).bytes;
    const layers = forms.map(
      (form, n) => oddLayer(form, [{ name: `file-${n}`, content: form }]).bytes,
    );
    return chainOf(name, [shell, ...layers, oddLayer(forms[0] ?? 'gzip', text(name)).bytes]);
  }

  async function expectConfig(name: string, imageId: string): Promise<void> {
    const { body } = await client.manifest(name, 'v1', SCHEMA2);
    const { config } = JSON.parse(body.toString()) as { config: { digest: string } };
    assert.equal(imageId.trim().replace(/^sha256:/, ''), config.digest.slice(7));
  }

  const oddities: Record<string, OddForm[]> = {
    bzip2: ['bzip2'],
    xz: ['xz'],
    zstd: ['zstd'],
    'no end blocks': ['unended'],
    'gzip in members': ['gzip-members'],
    'no compression': ['plain'],
    'empty layers of every kind': ['gzip', 'empty-gzip', 'empty-tar', 'zero-bytes'],
  };

  for (const [oddity, forms] of Object.entries(oddities)) {
    describe(`a V1 image with ${oddity}`, () => {
      const name = `odd/${oddity.replaceAll(' ', '-')}`;
      const files = new Map([
        ['text', `${name}\n`],
        ...forms.flatMap((form, n): [string, string][] =>
          form.startsWith('empty') || form === 'zero-bytes' ? [] : [[`file-${n}`, form]],
        ),
      ]);
      before(async () => client.pushV1(name, 'v1', await oddChain(name, forms)));

      it('is pulled and run by docker 20.10, with the image ID that its config says', async () => {
        const image = `${server.host}/${name}:v1`;
        await daemon.docker(['pull', '--quiet', image]);
        const id = await daemon.docker(['image', 'inspect', '--format', '{{.Id}}', image]);
        await expectConfig(name, id);
        assert.equal(await daemon.runContainer(image), `${name}\n`);
        const env = await daemon.docker([
          'image',
          'inspect',
          '--format',
          '{{index .Config.Env 1}}',
          image,
        ]);
        assert.equal(env.trim(), `TEXT=${UNICODE}`);
        for (const [file, content] of files) {
          const shown = await daemon.runContainer(image, ['/bin/busybox', 'cat', `/${file}`]);
          assert.equal(shown, content);
        }
        await daemon.forget(image);
      });

      it('is pulled and run by podman', async () => {
        const image = `${server.host}/${name}:v1`;
        await tools.podmanPull(image);
        assert.equal(await tools.runContainer(image), `${name}\n`);
        await expectConfig(
          name,
          await tools.podman(['image', 'inspect', '--format', '{{.Id}}', image]),
        );
        await tools.podman(['image', 'rm', '--force', image]);
      });

      it('is copied by skopeo with the right files', async () => {
        const at = name.replaceAll('/', '-');
        const layers = await tools.skopeoLayers(
          `${server.host}/${name}:v1`,
          join(work.path, `dir-${at}`),
        );
        await expectRootfs(layers, join(work.path, `rootfs-${at}`), files);
      });
    });
  }

  describe('a V1 image with 127 layers', () => {
    const name = 'odd/deep';
    const files = new Map(
      Array.from({ length: 127 }, (_, n): [string, string] => [`file-${n}`, `${n}\n`]),
    );
    before(async () => {
      const layers = [...files].map(([file, content], n) =>
        oddLayer(n % 2 === 0 ? 'gzip' : 'plain', [{ name: file, content }]),
      );
      const chain = chainOf(
        name,
        layers.map(({ bytes }) => bytes),
      );
      await client.pushV1(name, 'v1', chain);
      // docker stopped at 125 layers when it left aufs.
      await client.tagV1(name, 'v125', chain[124]?.id ?? '');
    });

    it('is unpacked by docker 20.10 as far as docker goes, which is 125 layers', async () => {
      const image = `${server.host}/${name}:v125`;
      await daemon.docker(['pull', '--quiet', image]);
      const folder = await work.folder('deep-docker');
      await run('tar', ['-xf', '-', '-C', folder], { input: await daemon.exportImage(image) });
      await expectFiles(folder, new Map([...files].slice(0, 125)));
      await daemon.forget(image);
    });

    it('is copied by skopeo, and pulled over V1 as it was pushed', async () => {
      const layers = await tools.skopeoLayers(
        `${server.host}/${name}:v1`,
        join(work.path, 'dir-deep'),
      );
      await expectRootfs(layers, join(work.path, 'deep-skopeo'), files);
      const { images } = await new V1Client(server.url, '0.7.6').pull(name, 'v1');
      assert.deepEqual(
        images.map(({ layer }) => sha256(layer)),
        layers.map(sha256),
      );
    });
  });

  describe('a V2 image', () => {
    const options = { seed: 120, layers: 4 };

    async function pullV1(name: string, version: '0.7.6' | '1.5.0'): Promise<Buffer[]> {
      const { images } = await new V1Client(server.url, version).pull(name, 'v1');
      return images.map(({ layer }) => layer);
    }

    for (const format of ['docker', 'oci'] as const) {
      it(`in ${format}'s types is pulled by old engines, byte by byte`, async () => {
        const image = makeV2Image({ ...options, format, forms: ['gzip', 'tar', 'gzip-unended'] });
        await new V2Client(server.url).pushImage(`v2/${format}`, 'v1', image);
        for (const version of ['0.7.6', '1.5.0'] as const) {
          const layers = await pullV1(`v2/${format}`, version);
          assert.deepEqual(
            layers.map(sha256),
            image.layers.map(({ digest }) => digest),
          );
          const folder = join(work.path, `v2-${format}-${version}`);
          await expectRootfs(layers, folder, expectedFiles(options));
        }
      });
    }

    it('of many platforms is pulled as its linux/amd64 image', async () => {
      const index = makeV2Index({ ...options, format: 'oci', architectures: ['arm64', 'amd64'] });
      await new V2Client(server.url).pushIndex('v2/index', 'v1', index);
      const layers = await pullV1('v2/index', '1.5.0');
      assert.deepEqual(
        layers.map(sha256),
        index.children[1]?.layers.map(({ digest }) => digest),
      );
    });

    for (const [compression, flags] of Object.entries({
      zstd: ['--format', 'oci', '--compression-format', 'zstd'],
      'zstd:chunked': ['--format', 'oci', '--compression-format', 'zstd:chunked'],
      gzip: ['--format', 'v2s2', '--compression-format', 'gzip'],
      'schema 1': ['--format', 'v2s1'],
    })) {
      it(`that podman pushes as ${compression} has the right files on an old engine`, async () => {
        const source = makeV2Image(options);
        const name = `v2/podman-${compression.replaceAll(/\W/g, '-')}`;
        await new V2Client(server.url).pushImage('v2/source', 'v1', source);
        const from = `${server.host}/v2/source:v1`;
        await tools.podmanPull(from);
        const to = `${server.host}/${name}:v1`;
        await tools.podman(['tag', from, to]);
        await tools.podmanPush(to, ...flags);
        const folder = join(work.path, name.replaceAll('/', '-'));
        await unpack(await pullV1(name, '1.5.0'), folder);
        await expectFiles(folder, expectedFiles(options));
      });
    }

    it('pushed as schema 1 by skopeo is run by docker, podman and an old engine alike', async () => {
      const base = await busyboxEntries();
      const image = makeV2Image({ ...options, base });
      await new V2Client(server.url).pushImage('v2/for-schema1', 'v1', image);
      const plain = ['--src-tls-verify=false', '--dest-tls-verify=false', '--quiet'];
      const at = `docker://${server.host}/v2`;
      await tools.skopeo([
        'copy',
        ...plain,
        '--format',
        'v2s1',
        `${at}/for-schema1:v1`,
        `${at}/schema1:v1`,
      ]);
      const reference = `${server.host}/v2/schema1:v1`;
      await daemon.docker(['pull', '--quiet', reference]);
      const top = ['/bin/busybox', 'cat', '/top'];
      assert.equal(await daemon.runContainer(reference, top), '3\n');
      await tools.podmanPull(reference);
      assert.equal(await tools.runContainer(reference, top), '3\n');
      const layers = await pullV1('v2/schema1', '1.5.0');
      assert.deepEqual(
        layers.map(sha256),
        image.layers.map(({ digest }) => digest),
      );
    });
  });

  it('logs no failure', () => {
    assert.doesNotMatch(server.output, /request failed/);
  });
});
