import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { FourWorkers, Writer } from '../support/four-workers.ts';
import { jsonOf } from '../support/http-client.ts';
import { makeV2Image, type V2Image } from '../support/images.ts';
import type { KeepAliveClient } from '../support/keep-alive-client.ts';
import { Seeded } from '../support/seeded.ts';
import { sha256 } from '../support/tar-layer.ts';

const ROUNDS = 3;
/** Only what is older than a tick of the file system's clock is kept in memory; so long do readers wait. */
const SETTLE_MS = 130;
const OCI = 'application/vnd.oci.image.manifest.v1+json';

const image = (seed: number) => makeV2Image({ seed, layers: 2 });
/** The ID of the V1 image that stands for the manifest: its config's digest. */
const imageId = ({ config }: V2Image) => sha256(config).slice('sha256:'.length);

/** Looks, as an old or a new engine does, and compares; `undefined` stands for what must not be there. */
const see = {
  async manifest(reader: KeepAliveClient, name: string, reference: string, wanted?: V2Image) {
    const path = `/v2/${name}/manifests/${reference}`;
    for (const method of ['GET', 'HEAD']) {
      const { status, headers, body } = await reader.ask(method, path, { accept: '*/*' });
      const what = `${reader.name} ${method} ${path}`;
      assert.equal(status, wanted ? 200 : 404, what);
      if (wanted) assert.equal(headers['docker-content-digest'], wanted.digest, what);
      if (wanted && method === 'GET') assert.ok(body.equals(wanted.manifest), what);
    }
  },
  async blob(reader: KeepAliveClient, name: string, digest: string, wanted?: Buffer) {
    const path = `/v2/${name}/blobs/${digest}`;
    const head = await reader.ask('HEAD', path);
    const whole = await reader.ask('GET', path);
    const part = await reader.ask('GET', path, { range: 'bytes=3-12' });
    const seen = [head.status, whole.status, part.status];
    assert.deepEqual(seen, wanted ? [200, 200, 206] : [404, 404, 404], `${reader.name} ${path}`);
    if (!wanted) return;
    assert.ok(whole.body.equals(wanted), `${reader.name} ${path}`);
    assert.ok(part.body.equals(wanted.subarray(3, 13)), `${reader.name} ${path}`);
  },
  async tags(reader: KeepAliveClient, name: string, wanted: Record<string, V2Image>) {
    const v2 = jsonOf<{ tags: string[] }>(await reader.ask('GET', `/v2/${name}/tags/list`));
    assert.deepEqual(v2.tags, Object.keys(wanted).sort(), `${reader.name} tags of ${name}`);
    const v1 = jsonOf<object>(await reader.ask('GET', `/v1/repositories/${name}/tags`));
    const ids = Object.entries(wanted).map(([tag, each]) => [tag, imageId(each)]);
    assert.deepEqual(v1, Object.fromEntries(ids), `${reader.name} V1 tags of ${name}`);
  },
  async v1Image(reader: KeepAliveClient, wanted: V2Image, there: boolean) {
    const id = imageId(wanted);
    for (const file of ['json', 'ancestry', 'layer']) {
      const { status, body } = await reader.ask('GET', `/v1/images/${id}/${file}`);
      assert.equal(status, there ? 200 : 404, `${reader.name} V1 ${file} of ${id}`);
      if (there && file === 'ancestry') assert.equal(JSON.parse(body.toString())[0], id);
    }
  },
  async referrers(reader: KeepAliveClient, name: string, subject: string, wanted: string[]) {
    const answer = await reader.ask('GET', `/v2/${name}/referrers/${subject}`);
    const { manifests } = jsonOf<{ manifests: { digest: string }[] }>(answer);
    const digests = manifests.map(({ digest }) => digest);
    assert.deepEqual(digests, wanted, `${reader.name} referrers of ${subject}`);
  },
  async catalog(reader: KeepAliveClient, name: string, there: boolean) {
    const answer = await reader.ask('GET', '/v2/_catalog?n=1000');
    const { repositories } = jsonOf<{ repositories: string[] }>(answer);
    assert.equal(repositories.includes(name), there, `${reader.name} ${name} in the catalog`);
  },
};

// All cases run at once over the same workers: each one's writes race with the others' reads and writes.
describe('four workers over one store: what was answered is seen by the next read on every worker', {
  concurrency: true,
  timeout: 60_000,
}, () => {
  const folder = mkdtempSync(join(tmpdir(), 'coherence-'));
  let cluster: FourWorkers;

  before(async () => {
    cluster = await FourWorkers.start(folder);
  });
  after(async () => {
    await cluster.stop();
    rmSync(folder, { recursive: true });
  });

  /** Two connections that write in turn. */
  const writerOf = (name: string) =>
    new Writer([cluster.writer(`${name}-1`), cluster.writer(`${name}-2`)]);

  /** Until caches may keep what there is, then has every reader look, so that they do. */
  async function keep(look: (reader: KeepAliveClient) => Promise<void>): Promise<void> {
    await cluster.everyone(look);
    await sleep(SETTLE_MS);
    await cluster.everyone(look);
  }

  it('a tag that moves', async () => {
    const name = 'race/moved';
    const writer = writerOf(name);
    const images = [image(1), image(2)] as const;
    for (const each of images) await writer.blobs(name, each);
    for (let round = 0; round < ROUNDS; round += 1) {
      const now = images[round % 2] as V2Image;
      await writer.manifest(name, 'latest', now);
      await keep(async (reader) => {
        await see.manifest(reader, name, 'latest', now);
        await see.manifest(reader, name, now.digest, now);
        await see.tags(reader, name, { latest: now });
        await see.v1Image(reader, now, true);
      });
    }
  });

  it('tags that come and go', async () => {
    const name = 'race/tag';
    const writer = writerOf(name);
    const [stays, goes] = [image(11), image(12)];
    for (const each of [stays, goes]) await writer.blobs(name, each);
    await writer.manifest(name, 'stays', stays);
    for (let round = 0; round < ROUNDS; round += 1) {
      const tag = `goes-${round}`;
      await writer.manifest(name, tag, goes);
      await keep(async (reader) => {
        await see.manifest(reader, name, tag, goes);
        await see.tags(reader, name, { [tag]: goes, stays });
      });
      await writer.write([202], 'DELETE', `/v2/${name}/manifests/${tag}`);
      await keep(async (reader) => {
        await see.manifest(reader, name, tag);
        await see.manifest(reader, name, goes.digest, goes);
        await see.tags(reader, name, { stays });
      });
    }
  });

  it('a manifest that goes, with its tag and its V1 images, and comes back', async () => {
    const name = 'race/manifest';
    const writer = writerOf(name);
    const only = image(21);
    await writer.blobs(name, only);
    for (let round = 0; round < ROUNDS; round += 1) {
      await writer.manifest(name, 'v1', only);
      await keep(async (reader) => {
        await see.manifest(reader, name, only.digest, only);
        await see.manifest(reader, name, 'v1', only);
        await see.tags(reader, name, { v1: only });
        await see.v1Image(reader, only, true);
      });
      await writer.write([202], 'DELETE', `/v2/${name}/manifests/${only.digest}`);
      await keep(async (reader) => {
        await see.manifest(reader, name, only.digest);
        await see.manifest(reader, name, 'v1');
        await see.tags(reader, name, {});
        await see.v1Image(reader, only, false);
      });
    }
  });

  it('blobs, small and large, that go and come back', async () => {
    const name = 'race/blobs';
    const writer = writerOf(name);
    const blobs = [1000, 300_000].map((size) => new Seeded(size).bytes(size));
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const bytes of blobs) await writer.blob(name, sha256(bytes), bytes);
      await keep(async (reader) => {
        for (const bytes of blobs) await see.blob(reader, name, sha256(bytes), bytes);
      });
      for (const bytes of blobs)
        await writer.write([202], 'DELETE', `/v2/${name}/blobs/${sha256(bytes)}`);
      await keep(async (reader) => {
        for (const bytes of blobs) await see.blob(reader, name, sha256(bytes));
      });
    }
  });

  it('referrers that come and go', async () => {
    const name = 'race/referrers';
    const writer = writerOf(name);
    const subject = image(31);
    await writer.blobs(name, subject);
    await writer.manifest(name, 'v1', subject);
    const empty = Buffer.from('{}');
    await writer.blob(name, sha256(empty), empty);
    const descriptor = { mediaType: 'application/json', digest: sha256(empty), size: empty.length };
    for (let round = 0; round < ROUNDS; round += 1) {
      const manifest = Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: OCI,
          artifactType: 'application/x.signature',
          config: descriptor,
          layers: [descriptor],
          subject: {
            mediaType: subject.mediaType,
            digest: subject.digest,
            size: subject.manifest.length,
          },
          annotations: { round: String(round) },
        }),
      );
      const digest = sha256(manifest);
      await writer.manifest(name, digest, { manifest, mediaType: OCI });
      await keep((reader) => see.referrers(reader, name, subject.digest, [digest]));
      await writer.write([202], 'DELETE', `/v2/${name}/manifests/${digest}`);
      await keep((reader) => see.referrers(reader, name, subject.digest, []));
    }
  });

  it('repositories that come and go', async () => {
    const writer = writerOf('race/catalog');
    const content = image(41);
    for (let round = 0; round < ROUNDS; round += 1) {
      const name = `race/catalog-${round}`;
      await writer.blobs(name, content);
      await writer.manifest(name, 'v1', content);
      await keep((reader) => see.catalog(reader, name, true));
      await writer.write([200], 'DELETE', `/v1/repositories/${name}/`);
      await keep((reader) => see.catalog(reader, name, false));
    }
  });

  it('a tag that two workers write at once names one of the two, the same for everyone', async () => {
    const name = 'race/both';
    const writers = [1, 2].map((n) => new Writer([cluster.writer(`both-${n}`)]));
    const images = [image(51), image(52)];
    for (const each of images) await writers[0]?.blobs(name, each);
    const judge = cluster.writer('judge');
    for (let round = 0; round < ROUNDS * 4; round += 1) {
      await Promise.all(
        writers.map((writer, at) => writer.manifest(name, 'latest', images[at] as V2Image)),
      );
      const path = `/v2/${name}/manifests/latest`;
      const { headers } = await judge.ask('HEAD', path, { accept: '*/*' });
      const winner = images.find(({ digest }) => digest === headers['docker-content-digest']);
      assert.ok(winner);
      await cluster.everyone((reader) => see.manifest(reader, name, 'latest', winner));
    }
  });

  it('an answer is whole, and one that was stored, while a tag moves all the time', async () => {
    const name = 'race/whole';
    const writer = writerOf(name);
    const images = [image(61), image(62), image(63)];
    for (const each of images) await writer.blobs(name, each);
    await writer.manifest(name, 'latest', images[0] as V2Image);
    let writing = true;
    const looking = cluster.everyone(async (reader) => {
      while (writing) {
        const path = `/v2/${name}/manifests/latest`;
        const { status, headers, body } = await reader.ask('GET', path, { accept: '*/*' });
        const given = images.find(({ digest }) => digest === headers['docker-content-digest']);
        assert.equal(status, 200);
        assert.ok(given?.manifest.equals(body), `${reader.name} got another manifest`);
      }
    });
    for (let round = 0; round < ROUNDS * 20; round += 1) {
      await writer.manifest(name, 'latest', images[round % 3] as V2Image);
    }
    writing = false;
    await looking;
  });
});
