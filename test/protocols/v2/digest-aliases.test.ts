import { before, describe, it } from 'node:test';
import { check, send } from '../../support/http-row.ts';
import { digest, image, OCI_MANIFEST, Pusher, randomBlob } from '../../support/oci-content.ts';
import { useServer } from '../../support/server.ts';

/*
 * distribution stores a blob that was pushed by sha512 under its sha256 digest: the sha512 link then holds the
 * sha256 digest (v2.md 3). Such a tree is written by hand here.
 */
describe('blobs that another registry linked by an alias', () => {
  const server = useServer({ storage: 'filesystem' });
  const blob = randomBlob(1000);
  const alias = digest(blob.bytes, 'sha512');
  const root = '/docker/registry/v2';
  before(async () => {
    const hex = blob.digest.slice(7);
    const layers = `${root}/repositories/old/_layers`;
    await server.driver.put(`${root}/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`, blob.bytes);
    await server.driver.put(`${layers}/sha256/${hex}/link`, blob.digest);
    await server.driver.put(`${layers}/sha512/${alias.slice(7)}/link`, blob.digest);
  });
  const get = (name: string, of: string, headers = {}) =>
    send(`${server.url}/v2/${name}/blobs/${of}`, { headers });

  it('are served under both digests, each by its own name', async () => {
    for (const of of [blob.digest, alias]) {
      const headers = { 'docker-content-digest': of, etag: `"${of}"` };
      check(await get('old', of), { status: 200, body: blob.bytes, headers });
      check(await get('old', of, { range: 'bytes=1-3' }), {
        status: 206,
        body: blob.bytes.subarray(1, 4),
      });
    }
  });

  it('count as there for a manifest that names the alias', async () => {
    const push = new Pusher(() => server.url);
    const own = image();
    await push.blob('old', own.config);
    const layer = { mediaType: 'a/b', digest: alias, size: blob.size };
    const pushed = image({ ...own, fields: { layers: [layer] } });
    const url = `${server.url}/v2/old/manifests/alias`;
    const headers = { 'content-type': OCI_MANIFEST };
    check(await send(url, { method: 'PUT', headers, body: pushed.bytes }), { status: 201 });
  });

  it('can be mounted by the alias', async () => {
    const url = `${server.url}/v2/new/blobs/uploads/?mount=${alias}&from=old`;
    check(await send(url, { method: 'POST' }), { status: 201 });
    check(await get('new', alias), { status: 200, body: blob.bytes });
    check(await get('new', blob.digest), { status: 200, body: blob.bytes });
  });

  it('lose one name at a time', async () => {
    const url = `${server.url}/v2/new/blobs/${alias}`;
    check(await send(url, { method: 'DELETE' }), { status: 202 });
    check(await get('new', alias), { status: 404 });
    check(await get('new', blob.digest), { status: 200 });
  });

  it('may be pushed again by sha512, and are then stored under it', async () => {
    const push = new Pusher(() => server.url);
    const again = { ...blob, digest: alias };
    await push.blob('again', again);
    check(await get('again', alias), { status: 200, body: blob.bytes });
    check(await get('again', blob.digest), { status: 404 });
  });
});
