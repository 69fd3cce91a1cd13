import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { digestOf } from '../../storage/digest.ts';
import { type ChildServer, startIsthmus } from '../support/child-server.ts';
import { freePort } from '../support/free-port.ts';
import { open, request } from '../support/http-client.ts';
import { makeV1Chain, makeV2Image } from '../support/images.ts';
import { runProgram } from '../support/registry-process.ts';
import { V1Client } from '../support/v1-client.ts';
import { V2Client } from '../support/v2-client.ts';
import { run } from './support/command.ts';
import { startDistributionOn } from './support/distribution.ts';
import { Versitygw } from './support/versitygw.ts';
import { Workspace } from './support/workspace.ts';

const MIB = 1024 * 1024;

describe('storage on S3, by versitygw', { timeout: 300_000 }, () => {
  let work: Workspace;
  let s3: Versitygw;
  /** Two nodes on one bucket, which share nothing else. */
  let one: ChildServer;
  let other: ChildServer;

  const start = async (env: Record<string, string> = {}) =>
    work.keep(
      await startIsthmus({
        storage: join(work.path, 'unused'),
        env: { ...s3.environment(), ...env },
      }),
    );

  before(async () => {
    work = await Workspace.create();
    s3 = work.keep(await Versitygw.start(await work.folder('s3')));
    one = await start({ REGISTRY_STORAGE_REDIRECT_DISABLE: 'false' });
    other = await start({ REGISTRY_STORAGE_REDIRECT_DISABLE: 'true' });
  });
  after(() => work.end());

  it('what V1 pushes to one node, skopeo pulls from another, and the other way round', async () => {
    const chain = makeV1Chain({ seed: 81, layers: 3 });
    await new V1Client(one.url).push('old/app', 'latest', chain);
    const folder = await work.folder('copied');
    const from = `docker://${other.host}/old/app:latest`;
    await run('skopeo', ['copy', '-q', '--src-tls-verify=false', from, `oci:${folder}:app`]);
    const to = `docker://${one.host}/new/app:v1`;
    await run('skopeo', ['copy', '-q', '--dest-tls-verify=false', `oci:${folder}:app`, to]);
    const pulled = await new V1Client(other.url).pull('new/app', 'v1');
    assert.equal(pulled.images.length, 3);
  });

  it('an upload of many parts goes on at another node, to the byte', async () => {
    const bytes = randomBytes(17 * MIB + 5);
    const [here, there] = [new V2Client(one.url), new V2Client(other.url)];
    const location = await here.startUpload('big/parts');
    const at = (server: ChildServer, path: string) => new URL(path, server.url).href;
    const path = new URL(location, one.url).pathname;
    await here.sendChunk(at(one, path), 0, bytes.subarray(0, 1000));
    await there.sendChunk(at(other, path), 1000, bytes.subarray(1000, 6 * MIB));
    await here.sendChunk(at(one, path), 6 * MIB, bytes.subarray(6 * MIB, 16 * MIB));
    assert.equal(await there.uploadOffset(at(other, path)), 16 * MIB);
    const digest = digestOf(bytes);
    await there.finishUpload(at(other, path), digest, bytes.subarray(16 * MIB));
    assert.ok((await there.pullBlob('big/parts', digest)).equals(bytes));
    const uploads = join(s3.folder, 'docker/registry/v2/repositories/big/parts/_uploads');
    assert.deepEqual(existsSync(uploads) ? readdirSync(uploads) : [], []);
  });

  it('sends clients to signed URLs, with ranges, unless redirects are off', async () => {
    const bytes = randomBytes(MIB);
    const digest = await new V2Client(one.url).pushBlob('signed/blob', bytes);
    const url = (server: ChildServer) => `${server.url}/v2/signed/blob/blobs/${digest}`;
    const sent = await request(url(one));
    assert.equal(sent.status, 307);
    const elsewhere = String(sent.headers.location);
    assert.ok(elsewhere.startsWith(`${s3.endpoint}/${s3.bucket}/docker/registry/v2/blobs/`));
    const part = await request(elsewhere, { headers: { Range: 'bytes=10-19' } });
    assert.deepEqual([part.status, part.body], [206, bytes.subarray(10, 20)]);
    const head = await request(url(one), { method: 'HEAD' });
    assert.equal(head.status, 307);
    const size = await request(String(head.headers.location), { method: 'HEAD' });
    assert.deepEqual([size.status, size.headers['content-length']], [200, String(MIB)]);
    const chain = makeV1Chain({ seed: 86, layers: 1 });
    await new V1Client(one.url).push('signed/old', 'latest', chain);
    const layer = await request(`${one.url}/v1/images/${chain[0]?.id}/layer`);
    assert.equal(layer.status, 302);
    const sentLayer = await request(String(layer.headers.location));
    assert.ok(sentLayer.body.equals(chain[0]?.layer ?? Buffer.alloc(0)));
    const direct = await request(url(other), { headers: { Range: 'bytes=-10' } });
    assert.deepEqual([direct.status, direct.body], [206, bytes.subarray(-10)]);
  });

  it('lets one of many create a tag, whichever node they ask', async () => {
    const image = makeV2Image({ seed: 82, layers: 1 });
    const client = new V2Client(one.url);
    await client.pushImage('race/app', 'base', image);
    const attempts = Array.from({ length: 12 }, async (_, n) => {
      const manifest = image.manifest.toString().replace('{', `{ "annotations": {"n": "${n}"},`);
      const server = n % 2 ? one : other;
      const headers = { 'Content-Type': image.mediaType, 'If-None-Match': '*' };
      const init = { method: 'PUT', headers, body: manifest };
      return (await request(`${server.url}/v2/race/app/manifests/once`, init)).status;
    });
    const statuses = (await Promise.all(attempts)).sort();
    assert.deepEqual(statuses, [201, ...Array<number>(11).fill(412)]);
    const [seen, too] = await Promise.all(
      [one, other].map((server) => new V2Client(server.url).pullManifest('race/app', 'once')),
    );
    assert.equal(seen?.digest, too?.digest);
  });

  it('memory does not grow with a layer, in either direction', async () => {
    const size = 300 * MIB;
    const block = randomBytes(MIB);
    const hash = createHash('sha256');
    const client = new V2Client(other.url);
    const source = Readable.from(
      (function* () {
        for (let at = 0; at < size; at += MIB) {
          hash.update(block);
          yield block;
        }
      })(),
    );
    const digest = await client.streamBlob(
      'big/stream',
      source,
      () => `sha256:${hash.digest('hex')}`,
    );
    let received = 0;
    for await (const chunk of await client.streamOf('big/stream', digest)) received += chunk.length;
    assert.equal(received, size);
    assert.ok(other.peakMemory() < 200 * MIB, `${other.peakMemory() / MIB} MiB`);
  });

  it('distribution serves what we store, and we what it stores, in one bucket', async () => {
    const keys = `accesskey: ${s3.accessKey}, secretkey: ${s3.secretKey}`;
    const place = `region: us-east-1, regionendpoint: "${s3.endpoint}", forcepathstyle: true`;
    const storage = `s3: { ${keys}, ${place}, bucket: ${s3.bucket} }`;
    const peer = work.keep(await startDistributionOn('3.1', storage, work.path));
    const image = makeV2Image({ seed: 83, layers: 2 });
    await new V2Client(one.url).pushImage('both/ours', 'v1', image);
    const check = ['validate', '--insecure', '--remote'];
    await run('crane', [...check, `${peer.host}/both/ours:v1`]);
    await run('crane', [
      'copy',
      '--insecure',
      `${one.host}/both/ours:v1`,
      `${peer.host}/both/theirs:v1`,
    ]);
    await run('crane', [...check, `${other.host}/both/theirs:v1`]);
    assert.deepEqual(await new V2Client(other.url).tags('both/theirs'), ['v1']);
  });

  it('garbage collection takes what nothing names, and nothing else', async () => {
    const kept = makeV2Image({ seed: 84, layers: 2 });
    const client = new V2Client(one.url);
    await client.pushImage('gc/app', 'v1', kept);
    const orphan = await client.pushBlob('gc/app', randomBytes(2000));
    const args = ['garbage-collect', '--grace', '0'];
    const { code, stdout, stderr } = await runProgram(args, s3.environment());
    assert.equal(code, 0, stderr);
    assert.ok(stdout.includes(orphan), stdout);
    await new V2Client(other.url).expectImage('gc/app', 'v1', kept);
    const hex = orphan.slice('sha256:'.length);
    const blob = `docker/registry/v2/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`;
    assert.ok(!existsSync(join(s3.folder, blob)));
  });

  it('takes a flavor of docker-registry, and says at once what cannot work', async () => {
    const flavors = await flavorFile({ bucket: s3.bucket });
    const port = await freePort();
    const server = work.keep(
      await startIsthmus({
        storage: work.path,
        args: [flavors],
        port,
        env: { SETTINGS_FLAVOR: 'prod', REGISTRY_HTTP_ADDR: `127.0.0.1:${port}` },
      }),
    );
    const chain = makeV1Chain({ seed: 85, layers: 1 });
    await new V1Client(server.url).push('prod/app', 'latest', chain);
    // docker-registry redirected only when told to.
    const layer = await open(`${server.url}/v1/images/${chain[0]?.id}/layer`);
    layer.resume();
    assert.equal(layer.statusCode, 200);
    const missing = await flavorFile({ bucket: 'nowhere' });
    await assert.rejects(
      startIsthmus({ storage: work.path, args: [missing], env: { SETTINGS_FLAVOR: 'prod' } }),
      /the bucket nowhere of http:.* can't be used: it is not there/,
    );
  });

  async function flavorFile({ bucket }: { bucket: string }): Promise<string> {
    const { hostname, port } = new URL(s3.endpoint);
    const path = join(work.path, `${bucket}.yml`);
    await writeFile(
      path,
      `common: &common
  loglevel: info
  standalone: true
s3: &s3
  <<: *common
  storage: s3
  boto_bucket: ${bucket}
  boto_host: ${hostname}
  boto_port: ${port}
  s3_secure: false
  s3_access_key: ${s3.accessKey}
  s3_secret_key: ${s3.secretKey}
prod:
  <<: *s3
  storage_path: /prod
`,
      { mode: 0o600 },
    );
    return path;
  }
});
