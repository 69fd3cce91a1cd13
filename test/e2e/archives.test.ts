import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type ChildServer, startIsthmus } from '../support/child-server.ts';
import { jsonOf, request } from '../support/http-client.ts';
import { expectedFiles, makeV1Chain } from '../support/images.ts';
import { isthmus } from '../support/isthmus-command.ts';
import { OldTree } from '../support/old-tree.ts';
import { sha256 } from '../support/tar-layer.ts';
import { V1Client } from '../support/v1-client.ts';
import { V2Client } from '../support/v2-client.ts';
import { BUILT_OUTPUT, busyboxEntries, writeContext } from './support/busybox-image.ts';
import { run } from './support/command.ts';
import { ContainerTools } from './support/container-tools.ts';
import { DockerDaemon } from './support/docker-daemon.ts';
import { expectRootfs } from './support/rootfs.ts';
import { Workspace } from './support/workspace.ts';

/** Archives and old trees between Isthmus and real docker, podman and skopeo. */
describe('archives', { timeout: 600_000 }, () => {
  let work: Workspace;
  let store: string;
  let server: ChildServer;
  let daemon: DockerDaemon;
  let tools: ContainerTools;
  let v2: V2Client;
  let imageId: string;

  before(async () => {
    work = await Workspace.create();
    store = await work.folder('registry');
    server = work.keep(await startIsthmus({ storage: store }));
    daemon = work.keep(await DockerDaemon.start(await work.folder('docker')));
    tools = new ContainerTools(await work.folder('tools'));
    v2 = new V2Client(server.url);
    const context = await writeContext(await work.folder('context'));
    await daemon.docker([
      'build',
      '--quiet',
      '--network',
      'none',
      '--tag',
      'team/built:v1',
      context,
    ]);
    imageId = await idOf('team/built:v1');
  });
  after(() => work.end());

  const at = (file: string) => join(work.path, file);

  async function idOf(image: string): Promise<string> {
    return (await daemon.docker(['image', 'inspect', '--format', '{{.Id}}', image])).trim();
  }

  /** The command line over the store that is being served. */
  async function command(...args: string[]): Promise<string> {
    const ran = await isthmus(store, args);
    assert.equal(ran.code, 0, ran.err);
    return ran.out.toString();
  }

  /** Pulls from the server, checks the ID and runs it. */
  async function expectRuns(name: string): Promise<void> {
    const image = `${server.host}/${name}`;
    await daemon.docker(['pull', '--quiet', image]);
    assert.equal(await idOf(image), imageId);
    assert.equal(await daemon.runContainer(image), BUILT_OUTPUT);
    await daemon.docker(['image', 'rm', image]);
  }

  describe('docker save', () => {
    it('is imported, and docker pulls the same image', async () => {
      await daemon.docker(['save', '--output', at('saved.tar'), 'team/built:v1']);
      assert.match(await command('import', at('saved.tar')), /^imported team\/built:v1 /);
      await expectRuns('team/built:v1');
    });

    it('is restored by curl alone', async () => {
      const url = `${server.url}/api/images/team/curl/v2.tar`;
      const answer = await run('curl', ['-sS', '--fail-with-body', '-T', at('saved.tar'), url]);
      assert.equal((JSON.parse(answer.toString()) as { tag: string }).tag, 'v2');
      await expectRuns('team/curl:v2');
    });

    it('is imported from a gzipped pipe under another name', async () => {
      const zipped = await run('gzip', ['-c', at('saved.tar')]);
      const ran = await isthmus(store, ['import', '-', 'team/piped:v1'], zipped);
      assert.equal(ran.code, 0, ran.err);
      await expectRuns('team/piped:v1');
    });
  });

  describe('docker load', () => {
    it('takes an export and shows the same image ID', async () => {
      await command('export', 'team/built:v1', '-o', at('exported.tar'));
      await daemon.docker(['image', 'rm', '--force', 'team/built:v1']);
      assert.match(await daemon.docker(['load', '--input', at('exported.tar')]), /team\/built:v1/);
      assert.equal(await idOf('team/built:v1'), imageId);
      assert.equal(await daemon.runContainer('team/built:v1'), BUILT_OUTPUT);
    });

    it('saves again, byte for byte, what it loaded', async () => {
      const names = async (file: string) =>
        (await run('tar', ['-tf', at(file)])).toString().split('\n').filter(Boolean).sort();
      await daemon.docker(['save', '--output', at('again.tar'), 'team/built:v1']);
      assert.deepEqual(await names('again.tar'), await names('exported.tar'));
      for (const name of (await names('exported.tar')).filter((each) => !each.endsWith('/'))) {
        const ours = await run('tar', ['-xOf', at('exported.tar'), name]);
        const theirs = await run('tar', ['-xOf', at('again.tar'), name]);
        if (!name.endsWith('.json') || name.length > 20) assert.deepEqual(ours, theirs, name);
        else assert.deepEqual(JSON.parse(ours.toString()), JSON.parse(theirs.toString()), name);
      }
    });

    it('takes what curl fetched', async () => {
      const url = `${server.url}/api/images/team/built/v1.tar`;
      await run('curl', ['-sS', '--fail', '-o', at('fetched.tar'), url]);
      assert.deepEqual(await readFile(at('fetched.tar')), await readFile(at('exported.tar')));
    });
  });

  describe('podman', () => {
    it('loads an export', async () => {
      await tools.podman(['load', '--quiet', '--input', at('exported.tar')]);
      const id = await tools.podman(['image', 'inspect', '--format', '{{.Id}}', 'team/built:v1']);
      assert.equal(`sha256:${id.trim()}`, imageId);
    });

    for (const format of ['docker-archive', 'oci-archive']) {
      it(`saves a ${format} that is imported`, async () => {
        const file = at(`podman-${format}.tar`);
        await tools.podman([
          'save',
          '--quiet',
          '--format',
          format,
          '--output',
          file,
          'team/built:v1',
        ]);
        await command('import', file, `podman/${format}:v1`);
        const pulled = `${server.host}/podman/${format}:v1`;
        await daemon.docker(['pull', '--quiet', pulled]);
        assert.equal(await daemon.runContainer(pulled), BUILT_OUTPUT);
      });
    }

    it('saves several images into one archive, links and all', async () => {
      await tools.podman(['tag', 'team/built:v1', 'localhost/team/other:v2']);
      const file = at('podman-several.tar');
      const names = ['localhost/team/built:v1', 'localhost/team/other:v2'];
      await tools.podman(['save', '--quiet', '--multi-image-archive', '--output', file, ...names]);
      const said = await command('import', file);
      assert.match(said, /imported team\/other:v2 /);
      await expectRuns('team/other:v2');
    });
  });

  describe('skopeo', () => {
    it('copies out of an export in either format', async () => {
      await command('export', 'team/built:v1', '--format', 'oci', '-o', at('layout.tar'));
      // skopeo finds OCI manifests by name, and docker's only when they are alone.
      for (const source of [
        `docker-archive:${at('exported.tar')}`,
        `oci-archive:${at('layout.tar')}`,
      ]) {
        assert.equal((await copied(source)).config.digest, imageId);
      }
      await command('export', 'podman/oci-archive:v1', '--format', 'oci', '-o', at('oci.tar'));
      const { digest } = await v2.pullManifest('podman/oci-archive', 'v1');
      const named = await copied(`oci-archive:${at('oci.tar')}:v1`);
      assert.equal(named.digest, digest);
    });

    /** Has skopeo copy an image, which checks each digest, and gives its config's and its manifest's. */
    async function copied(source: string): Promise<{ config: { digest: string }; digest: string }> {
      const folder = await work.folder(source.replace(/.*\//, 'copy-of-').replace(':', '-'));
      await tools.skopeo(['copy', '--quiet', source, `dir:${folder}`]);
      const bytes = await readFile(join(folder, 'manifest.json'));
      return {
        ...(JSON.parse(bytes.toString()) as { config: { digest: string } }),
        digest: sha256(bytes),
      };
    }

    for (const kind of ['docker-archive', 'oci-archive']) {
      it(`copies from the registry into a ${kind} that is imported`, async () => {
        const file = at(`skopeo-${kind}.tar`);
        const from = ['--src-tls-verify=false', `docker://${server.host}/team/built:v1`];
        await tools.skopeo(['copy', '--quiet', ...from, `${kind}:${file}:skopeo/copy:v1`]);
        const said = await command('import', file, `skopeo/${kind}:v1`);
        assert.match(said, new RegExp(`^imported skopeo/${kind}:v1 `));
        if (kind === 'docker-archive') return expectRuns(`skopeo/${kind}:v1`);
        // skopeo writes the config anew for OCI, so the image has another ID.
        const image = `${server.host}/skopeo/${kind}:v1`;
        await daemon.docker(['pull', '--quiet', image]);
        assert.equal(await daemon.runContainer(image), BUILT_OUTPUT);
      });
    }

    it('writes an OCI layout as a directory, whose manifest keeps its digest', async () => {
      const folder = await work.folder('layout');
      const from = ['--src-tls-verify=false', `docker://${server.host}/team/built:v1`];
      await tools.skopeo(['copy', '--quiet', ...from, `oci:${folder}:v5`]);
      const index = JSON.parse(await readFile(join(folder, 'index.json'), 'utf8')) as {
        manifests: { digest: string }[];
      };
      await command('import', folder, 'skopeo/layout');
      const { digest } = await v2.pullManifest('skopeo/layout', 'v5');
      assert.equal(digest, index.manifests[0]?.digest);
    });
  });

  describe('an old registry', () => {
    const options = { seed: 91, layers: 4 };

    it('is brought in while we serve, and docker of both ages pulls from it', async () => {
      const root = await work.folder('old');
      const chain = makeV1Chain({ ...options, base: await busyboxEntries() });
      const tree = new OldTree(root);
      tree.writeRepository('library/ancient', 'tag_v1', tree.addChain(chain));
      assert.match(await command('import', 'v1', root), /^imported 4 images/);
      const old = await new V1Client(server.url, '1.5.0').pull('ancient', 'v1');
      assert.deepEqual(
        old.images.map(({ layer }) => layer),
        chain.map(({ layer }) => layer),
      );
      const image = `${server.host}/ancient:v1`;
      await daemon.docker(['pull', '--quiet', image]);
      assert.equal(await daemon.runContainer(image, ['/bin/busybox', 'cat', '/top']), '3\n');
    });

    it('is written from what docker of today pushed, and read back', async () => {
      const folder = await work.folder('tree');
      await command('export', 'v1', folder, '--repository', 'team/built');
      const other = await work.folder('other');
      const ran = await isthmus(other, ['import', 'v1', folder]);
      assert.equal(ran.code, 0, ran.err);
      const second = work.keep(await startIsthmus({ storage: other }));
      const tag = await request(`${second.url}/v1/repositories/team/built/tags/v1`);
      assert.equal(`sha256:${jsonOf<string>(tag)}`, imageId);
      const pulled = await new V1Client(second.url, '1.5.0').pull('team/built', 'v1');
      await mkdir(at('unpacked'), { recursive: true });
      const layers = pulled.images.map(({ layer }) => layer);
      await expectRootfs(
        layers,
        at('unpacked'),
        new Map([
          ['two', 'two\n'],
          ['gone', undefined],
        ]),
      );
    });

    it('comes out as an archive that docker runs', async () => {
      await command('export', 'ancient:v1', '-o', at('ancient.tar'));
      await daemon.docker(['load', '--quiet', '--input', at('ancient.tar')]);
      assert.equal(await daemon.runContainer('ancient:v1', ['/bin/busybox', 'cat', '/top']), '3\n');
      const archive = await daemon.exportImage('ancient:v1');
      await writeFile(at('rootfs.tar'), archive);
      for (const [name, text] of expectedFiles(options)) {
        if (text === undefined) continue;
        assert.equal((await run('tar', ['-xOf', at('rootfs.tar'), name])).toString(), text);
      }
    });
  });
});
