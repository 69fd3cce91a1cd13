import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import type { ChildServer } from '../support/child-server.ts';
import { request } from '../support/http-client.ts';
import { makeV1Chain, makeV2Image } from '../support/images.ts';
import { Seeded } from '../support/seeded.ts';
import { sha256 } from '../support/tar-layer.ts';
import { V1Client } from '../support/v1-client.ts';
import { V2Client } from '../support/v2-client.ts';
import { BUILT_FILES, writeContext } from './support/busybox-image.ts';
import { ContainerTools } from './support/container-tools.ts';
import { DockerDaemon } from './support/docker-daemon.ts';
import { expectRootfs } from './support/rootfs.ts';
import { startSubject } from './support/subject.ts';
import { Workspace } from './support/workspace.ts';

const MIB = 1024 * 1024;

/** Transfers that meet each other, or that break off and go on. */
describe('transfers', { timeout: 600_000 }, () => {
  let work: Workspace;
  let server: ChildServer;
  let v2: V2Client;

  before(async () => {
    work = await Workspace.create();
    server = work.keep(await startSubject(await work.folder('registry')));
    v2 = new V2Client(server.url);
  });
  after(() => work.end());

  it('takes one layer from twelve clients at once', async () => {
    const layer = new Seeded(51).bytes(3 * MIB);
    const names = Array.from({ length: 12 }, (_, n) => `same/${n % 4}`);
    await Promise.all(
      names.map((name, n) => v2.pushBlob(name, layer, n % 2 ? 500_000 : undefined)),
    );
    for (const name of new Set(names)) {
      assert.deepEqual(await v2.pullBlob(name, sha256(layer)), layer);
    }
  });

  it('takes one image from docker, skopeo and buildah at once', async () => {
    const daemon = work.keep(await DockerDaemon.start(await work.folder('docker')));
    const tools = new ContainerTools(await work.folder('tools'));
    const context = await writeContext(await work.folder('context'));
    await daemon.docker(['build', '--quiet', '--network', 'none', '--tag', 'built', context]);
    const archive = join(work.path, 'built.tar');
    await daemon.docker(['save', '--output', archive, 'built']);
    await tools.buildah(['pull', '--quiet', `docker-archive:${archive}`]);
    const at = (by: string) => `${server.host}/at-once/${by}:v1`;
    await daemon.docker(['tag', 'built', at('docker')]);
    const from = `docker-archive:${archive}`;
    const plain = ['--quiet', '--dest-tls-verify=false'];
    const push = ['push', '--quiet', '--tls-verify=false', 'built'];
    await Promise.all([
      daemon.docker(['push', '--quiet', at('docker')]),
      tools.skopeo(['copy', ...plain, from, `docker://${at('skopeo')}`]),
      tools.buildah([...push, `docker://${at('buildah')}`]),
    ]);
    for (const by of ['docker', 'skopeo', 'buildah']) {
      const layers = await tools.skopeoLayers(at(by), join(work.path, `${by}-dir`));
      await expectRootfs(layers, join(work.path, `${by}-rootfs`), BUILT_FILES);
    }
  });

  it('docker pushes an image to a second repository by mounting its layers', async () => {
    const daemon = work.keep(await DockerDaemon.start(await work.folder('docker-mount')));
    const context = await writeContext(await work.folder('context-mount'));
    await daemon.docker(['build', '--quiet', '--network', 'none', '--tag', 'built', context]);
    for (const name of ['mount/one:v1', 'mount/two:v1']) {
      await daemon.docker(['tag', 'built', `${server.host}/${name}`]);
    }
    await daemon.docker(['push', `${server.host}/mount/one:v1`]);
    const said = await daemon.docker(['push', `${server.host}/mount/two:v1`]);
    assert.match(said, /Mounted from mount\/one/);
    assert.doesNotMatch(said, /: Pushed/);
  });

  it('keeps what arrived of a broken chunk and goes on from there', async () => {
    const blob = new Seeded(52).bytes(4 * MIB);
    const location = await v2.startUpload('broken/v2');
    const url = new URL(location, server.url).href;
    const headers = { 'content-type': 'application/octet-stream' };
    const half = Readable.from(
      (async function* () {
        yield blob.subarray(0, MIB);
        // The server has time to take the first half before the connection goes.
        await new Promise((resolve) => setTimeout(resolve, 300));
        throw new Error('the client went away');
      })(),
    );
    await assert.rejects(request(url, { method: 'PATCH', headers, body: half }));
    const offset = await settledOffset(location);
    assert.ok(offset > 0 && offset <= MIB, `the upload stands at ${offset}`);
    const next = await v2.sendChunk(location, offset, blob.subarray(offset));
    await v2.finishUpload(next, sha256(blob));
    assert.deepEqual(await v2.pullBlob('broken/v2', sha256(blob)), blob);
  });

  /** The offset once the server has noticed that the connection is gone. */
  async function settledOffset(location: string): Promise<number> {
    for (let last = -1; ; ) {
      const offset = await v2.uploadOffset(location);
      if (offset === last) return offset;
      last = offset;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  it('refuses a chunk at another place and says where the upload stands', async () => {
    const blob = new Seeded(53).bytes(3000);
    const begun = await v2.startUpload('broken/order');
    const location = await v2.sendChunk(begun, 0, blob.subarray(0, 1000));
    const headers = { 'content-type': 'application/octet-stream', 'content-range': '2000-2999' };
    const answer = await v2.call('PATCH', location, headers, blob.subarray(2000));
    assert.equal(answer.status, 416);
    assert.equal(await v2.uploadOffset(location), 1000);
    await v2.finishUpload(location, sha256(blob), blob.subarray(1000));
  });

  it('resumes a blob download with a range', async () => {
    const image = makeV2Image({ seed: 54, layers: 1, bytes: 100_000 });
    await v2.pushImage('broken/download', 'v1', image);
    const [layer] = image.layers;
    const bytes = layer?.bytes ?? Buffer.alloc(0);
    const path = `/v2/broken/download/blobs/${layer?.digest}`;
    const rest = await v2.call('GET', path, { range: 'bytes=60000-' });
    assert.equal(rest.status, 206);
    assert.equal(rest.headers['content-range'], `bytes 60000-${bytes.length - 1}/${bytes.length}`);
    assert.deepEqual(rest.body, bytes.subarray(60_000));
  });

  it('repeats a V1 push that broke off in a layer', async () => {
    const chain = makeV1Chain({ seed: 55, layers: 3, bytes: 200_000 });
    const client = new V1Client(server.url);
    await assert.rejects(client.push('broken/v1', 'v1', chain, { cutAfter: 100_000 }));
    await assert.rejects(client.pull('broken/v1', 'v1'), /not found/);
    const report = await client.push('broken/v1', 'v1', chain);
    assert.deepEqual(
      report.skipped,
      chain.slice(0, 2).map((one) => one.id),
    );
    const pulled = await client.pull('broken/v1', 'v1');
    assert.deepEqual(
      pulled.images.map((one) => one.layer),
      chain.map((one) => one.layer),
    );
  });

  it('takes one V1 image from four engines at once', async () => {
    const chain = makeV1Chain({ seed: 56, layers: 3, bytes: 200_000 });
    const pushes = Array.from({ length: 4 }, (_, n) =>
      new V1Client(server.url, '1.5.0').push(`same-v1/${n}xyz`, 'v1', chain),
    );
    // An engine may be told that another one is at it; then it comes again, as a person would.
    const outcomes = await Promise.allSettled(pushes);
    assert.ok(outcomes.some(({ status }) => status === 'fulfilled'));
    for (const n of pushes.keys()) {
      await new V1Client(server.url).push(`same-v1/${n}xyz`, 'v1', chain);
      const { images } = await new V1Client(server.url).pull(`same-v1/${n}xyz`, 'v1');
      assert.deepEqual(
        images.map((one) => one.layer),
        chain.map((one) => one.layer),
      );
    }
  });
});
