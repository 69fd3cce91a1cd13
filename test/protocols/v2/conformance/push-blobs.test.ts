import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { type Answer, check, headerOf, send } from '../../../support/http-row.ts';
import {
  type Algorithm,
  type Described,
  describe as described,
  digest,
  locate,
  OCTETS,
  Pusher,
  randomBlob,
} from '../../../support/oci-content.ts';
import { describeRequirements, type Requirement } from '../../../support/requirements.ts';
import { useServer } from '../../../support/server.ts';

const CHUNK = 1024;

for (const algorithm of ['sha256', 'sha512'] as const) {
  describe(`OCI distribution-spec, category Push: blobs by ${algorithm}`, () => {
    const server = useServer({ storage: 'filesystem' });
    describeRequirements(
      'requirements',
      requirementsFor(algorithm, () => server.url),
    );
  });
}

function requirementsFor(algorithm: Algorithm, base: () => string): Requirement[] {
  const name = 'conformance/repo1';
  const other = 'conformance/repo2';
  const push = new Pusher(base);
  const fresh = (size = 512): Described => randomBlob(size, OCTETS, algorithm);
  const start = (query = '', repository = name): Promise<Answer> =>
    send(`${base()}/v2/${repository}/blobs/uploads/${query}`, { method: 'POST' });
  const put = (location: string, of: string, body?: Buffer, headers = {}): Promise<Answer> =>
    send(locate(base(), location, { digest: of }), {
      method: 'PUT',
      headers: { 'content-type': OCTETS, ...headers },
      ...(body && { body }),
    });
  const patch = (location: string, body: Buffer, range?: string): Promise<Answer> =>
    send(locate(base(), location), {
      method: 'PATCH',
      headers: { 'content-type': OCTETS, ...(range && { 'content-range': range }) },
      body,
    });
  const status = (location: string): Promise<Answer> => send(locate(base(), location));
  const locationOf = (answer: Answer): string => headerOf(answer, 'location');
  const chunkOf = (blob: Described, at: number): [Buffer, string] => {
    const body = blob.bytes.subarray(at, at + CHUNK);
    return [body, `${at}-${at + body.length - 1}`];
  };

  /** The blob can be had at the Location of the answer that accepted it, and over HEAD. */
  const expectStored = async (answer: Answer, blob: Described): Promise<void> => {
    check(answer, { status: 201, headers: { 'docker-content-digest': blob.digest } });
    check(await send(locate(base(), locationOf(answer))), { status: 200, body: blob.bytes });
    const headers = { 'content-length': String(blob.size), 'docker-content-digest': blob.digest };
    const url = `${base()}/v2/${name}/blobs/${blob.digest}`;
    check(await send(url, { method: 'HEAD' }), { status: 200, headers });
  };

  /** Pushes in chunks, as the official suite does, with a chunk in the wrong place before each one if wanted. */
  const pushChunks = async (
    blob: Described,
    options: { disorder?: boolean; last: 'patch' | 'put' },
  ): Promise<Answer> => {
    let location = locationOf(await start());
    for (let at = 0; at < blob.size; at += CHUNK) {
      if (options.disorder) location = await pushWrong(blob, at, location, options.last);
      const [body, range] = chunkOf(blob, at);
      const isLast = at + CHUNK >= blob.size;
      if (isLast && options.last === 'put') {
        return put(location, blob.digest, body, { 'content-range': range });
      }
      const answer = await patch(location, body, range);
      check(answer, { status: 202, headers: { range: `0-${at + body.length - 1}` } });
      location = locationOf(answer);
    }
    return put(location, blob.digest);
  };

  const pushWrong = async (
    blob: Described,
    at: number,
    location: string,
    last: 'patch' | 'put',
  ): Promise<string> => {
    const wrong = at + CHUNK < blob.size ? at + CHUNK : 0;
    const [body, range] = chunkOf(blob, wrong);
    const closes = last === 'put' && wrong + CHUNK >= blob.size;
    const refused = closes
      ? await put(location, blob.digest, body, { 'content-range': range })
      : await patch(location, body, range);
    check(refused, { status: 416, code: 'RANGE_INVALID' });
    const now = await status(locationOf(refused));
    check(now, { status: 204, headers: { range: `0-${Math.max(at - 1, 0)}` } });
    return locationOf(now);
  };

  return [
    {
      section: 'POST then PUT',
      level: 'MUST',
      says: 'POST answers 202 with a Location that holds a unique session',
      check: async () => {
        const [one, two] = [await start(), await start()];
        check(one, { status: 202, headers: { 'content-length': '0', range: '0-0' } });
        assert.match(locationOf(one), /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/);
        assert.notEqual(locationOf(one), locationOf(two));
      },
    },
    {
      section: 'POST then PUT',
      level: 'MUST',
      says: 'PUT of the whole blob answers 201 with a pullable Location',
      check: async () => {
        const blob = fresh();
        await expectStored(await put(locationOf(await start()), blob.digest, blob.bytes), blob);
      },
    },
    {
      section: 'POST then PUT',
      level: 'MUST',
      says: 'query parameters that a client adds to the Location are borne',
      check: async () => {
        const blob = fresh();
        const location = locate(base(), locationOf(await start()), { _state: 'opaque==', x: '1' });
        await expectStored(await put(location, blob.digest, blob.bytes), blob);
      },
    },
    {
      section: 'POST then PUT',
      level: 'MUST',
      says: 'a body that does not match the digest is 400 and is not stored',
      check: async () => {
        const blob = fresh();
        const location = locationOf(await start());
        const wrong = Buffer.concat([blob.bytes, Buffer.from('oh no')]);
        check(await put(location, blob.digest, wrong), { status: 400, code: 'DIGEST_INVALID' });
        check(await send(`${base()}/v2/${name}/blobs/${blob.digest}`), { status: 404 });
        check(await status(location), { status: 404, code: 'BLOB_UPLOAD_UNKNOWN' });
      },
    },
    {
      section: 'POST then PUT',
      level: 'MUST',
      says: 'PUT without a digest is 400 and leaves the upload alive',
      check: async () => {
        const location = locationOf(await start());
        const answer = await send(locate(base(), location), { method: 'PUT' });
        check(answer, { status: 400, code: 'DIGEST_INVALID', body: /digest missing/ });
        check(await status(location), { status: 204 });
      },
    },
    {
      section: 'Single POST',
      level: 'MAY',
      says: 'POST with digest and body answers 201 with a pullable Location',
      check: async () => {
        const blob = fresh();
        const url = `${base()}/v2/${name}/blobs/uploads/?digest=${blob.digest}`;
        const answer = await send(url, { method: 'POST', body: blob.bytes });
        await expectStored(answer, blob);
      },
    },
    {
      section: 'Single POST',
      level: 'MUST',
      says: 'POST with a body that does not match the digest is 400',
      check: async () => {
        const blob = fresh();
        const url = `${base()}/v2/${name}/blobs/uploads/?digest=${blob.digest}`;
        const answer = await send(url, { method: 'POST', body: 'something else' });
        check(answer, { status: 400, code: 'DIGEST_INVALID' });
        check(await send(`${base()}/v2/${name}/blobs/${blob.digest}`), { status: 404 });
      },
    },
    {
      section: 'Single POST',
      level: 'WE',
      says: 'POST with a digest and no body opens an upload, as registries without this method do',
      check: async () => {
        const blob = fresh();
        const opened = await start(`?digest=${blob.digest}`);
        check(opened, { status: 202 });
        await expectStored(await put(locationOf(opened), blob.digest, blob.bytes), blob);
      },
    },
    {
      section: 'Single POST',
      level: 'MAY',
      says: 'POST ?digest-algorithm= opens an upload (end-4c)',
      check: async () => {
        const blob = fresh();
        const opened = await start(`?digest-algorithm=${algorithm}`);
        check(opened, { status: 202 });
        const sent = await patch(locationOf(opened), blob.bytes);
        await expectStored(await put(locationOf(sent), blob.digest), blob);
        check(await start('?digest-algorithm=md5'), { status: 400, code: 'DIGEST_INVALID' });
      },
    },
    {
      section: 'Pushing a blob in chunks',
      level: 'MUST',
      says: 'one chunk, then PUT',
      check: async () => {
        const blob = fresh();
        await expectStored(await pushChunks(blob, { last: 'patch' }), blob);
      },
    },
    {
      section: 'Pushing a blob in chunks',
      level: 'MUST',
      says: 'several chunks, each answered by 202, Location and Range, closed by an empty PUT',
      check: async () => {
        const blob = fresh(CHUNK * 3 - 5);
        await expectStored(await pushChunks(blob, { last: 'patch' }), blob);
      },
    },
    {
      section: 'Pushing a blob in chunks',
      level: 'MAY',
      says: 'the last chunk in the closing PUT',
      check: async () => {
        const blob = fresh(CHUNK * 3 - 5);
        await expectStored(await pushChunks(blob, { last: 'put' }), blob);
      },
    },
    {
      section: 'Pushing a blob in chunks',
      level: 'MUST',
      says: 'a chunk out of order is 416, and GET says where the upload stands',
      check: async () => {
        const blob = fresh(CHUNK * 3 - 5);
        await expectStored(await pushChunks(blob, { last: 'patch', disorder: true }), blob);
      },
    },
    {
      section: 'Pushing a blob in chunks',
      level: 'MUST',
      says: 'a closing PUT out of order is 416 and the upload goes on',
      check: async () => {
        const blob = fresh(CHUNK * 3 - 5);
        await expectStored(await pushChunks(blob, { last: 'put', disorder: true }), blob);
      },
    },
    {
      section: 'Pushing a blob in chunks',
      level: 'MUST',
      says: 'a chunk that is sent again is 416, by the Location before it as well',
      check: async () => {
        const blob = fresh(CHUNK * 2);
        const first = locationOf(await start());
        const [body, range] = chunkOf(blob, 0);
        check(await patch(first, body, range), { status: 202, headers: { range } });
        check(await patch(first, body, range), { status: 416, headers: { range } });
        check(await status(first), { status: 204, headers: { range, location: /./ } });
      },
    },
    {
      section: 'Pushing a blob in chunks',
      level: 'MUST',
      says: 'a Content-Range that is none is 416 with Location and Range, and nothing is taken',
      check: async () => {
        const location = locationOf(await start());
        for (const range of ['bytes', 'a-b', '0', '5-2', '-1-3', '0-9, 20-29']) {
          const answer = await patch(location, Buffer.alloc(10), range);
          check(answer, { status: 416, headers: { location: /uploads/, range: '0-0' } });
        }
        check(await status(location), { status: 204, headers: { range: '0-0' } });
        check(await put(location, digest('', algorithm)), { status: 201 });
      },
    },
    {
      section: 'Pushing a blob in chunks',
      level: 'MUST',
      says: 'a chunk whose length disagrees with its range is 400 and is not taken',
      check: async () => {
        const location = locationOf(await start());
        const answer = await patch(location, Buffer.alloc(10), '0-19');
        check(answer, { status: 400, code: 'SIZE_INVALID', headers: { range: '0-0' } });
        check(await patch(location, Buffer.alloc(10), '0-9'), { status: 202 });
      },
    },
    {
      section: 'Pushing a blob in chunks',
      level: 'WE',
      says: 'no minimum is announced, because a chunk of one byte is taken',
      check: async () => {
        const opened = await start();
        check(opened, { status: 202, headers: { 'oci-chunk-min-length': null } });
        const one = await patch(locationOf(opened), Buffer.from('a'), '0-0');
        check(one, { status: 202, headers: { range: '0-0' } });
        check(await patch(locationOf(one), Buffer.from('b'), '1-1'), { status: 202 });
        await expectStored(
          await put(locationOf(one), digest('ab', algorithm)),
          described('ab', OCTETS, algorithm),
        );
      },
    },
    {
      section: 'Pushing a blob in chunks',
      level: 'MAY',
      says: 'a PATCH without Content-Range streams on from where the upload stands',
      check: async () => {
        const blob = fresh(CHUNK * 2);
        const one = await patch(locationOf(await start()), blob.bytes.subarray(0, 700));
        const two = await patch(locationOf(one), blob.bytes.subarray(700));
        await expectStored(await put(locationOf(two), blob.digest), blob);
      },
    },
    {
      section: 'Pushing a blob in chunks',
      level: 'MUST',
      says: 'chunks that do not add up to the digest are 400',
      check: async () => {
        const sent = await patch(locationOf(await start()), Buffer.from('this and'));
        const answer = await put(locationOf(sent), digest('that', algorithm));
        check(answer, { status: 400, code: 'DIGEST_INVALID' });
      },
    },
    {
      section: 'Pushing a blob in chunks',
      level: 'MUST',
      says: 'parts of an upload that was never opened are 404',
      check: async () => {
        const gone = `/v2/${name}/blobs/uploads/8b1aee52-0b4f-4a1d-a1c2-1f7a4f4c1a11`;
        const expected = { status: 404, code: 'BLOB_UPLOAD_UNKNOWN' };
        check(await patch(gone, Buffer.from('x')), expected);
        check(await put(gone, digest('x', algorithm), Buffer.from('x')), expected);
        check(await status(gone), expected);
        check(await send(base() + gone, { method: 'DELETE' }), expected);
      },
    },
    {
      section: 'Pushing a blob in chunks',
      level: 'WE',
      says: 'an upload belongs to one repository',
      check: async () => {
        const location = locationOf(await start()).replace(name, other);
        check(await patch(location, Buffer.from('x')), { status: 404 });
      },
    },
    {
      section: 'Cancel a blob upload',
      level: 'SHOULD',
      says: 'DELETE answers 204, after which the upload is unknown',
      check: async () => {
        const location = locationOf(await start());
        check(await send(locate(base(), location), { method: 'DELETE' }), { status: 204 });
        check(await status(location), { status: 404, code: 'BLOB_UPLOAD_UNKNOWN' });
      },
    },
    {
      section: 'Mounting a blob from another repository',
      level: 'MUST',
      says: 'a mount answers 201 with a pullable Location in the target',
      check: async () => {
        const blob = await push.blob(other, fresh());
        const answer = await start(`?mount=${blob.digest}&from=${other}`);
        assert.ok(locationOf(answer).endsWith(`/v2/${name}/blobs/${blob.digest}`));
        await expectStored(answer, blob);
      },
    },
    {
      section: 'Mounting a blob from another repository',
      level: 'MAY',
      says: 'a mount without `from` finds the blob in a repository with content',
      check: async () => {
        await push.image(other);
        const blob = await push.blob(other, fresh());
        await expectStored(await start(`?mount=${blob.digest}`), blob);
      },
    },
    {
      section: 'Mounting a blob from another repository',
      level: 'MAY',
      says: 'a mount without `from` finds a blob in a repository without manifests',
      check: async () => {
        const blob = await push.blob(`blobs/only-${algorithm}`, fresh());
        await expectStored(await start(`?mount=${blob.digest}`), blob);
      },
    },
    {
      section: 'Mounting a blob from another repository',
      level: 'SHOULD',
      says: 'a mount of what is not there opens an upload that can be finished',
      check: async () => {
        const blob = fresh();
        for (const query of [`&from=${other}`, '&from=no/such', '', '&from=NOT%20A%20NAME']) {
          const answer = await start(`?mount=${blob.digest}${query}`);
          check(answer, { status: 202, headers: { location: /uploads/ } });
        }
        const opened = await start(`?mount=${blob.digest}&from=${other}`);
        await expectStored(await put(locationOf(opened), blob.digest, blob.bytes), blob);
      },
    },
    {
      section: 'Pushing blobs',
      level: 'MUST',
      says: 'the empty blob and {} can be pushed and pulled in every way',
      check: async () => {
        for (const text of ['', '{}']) {
          const blob = described(text, OCTETS, algorithm);
          await expectStored(await put(locationOf(await start()), blob.digest, blob.bytes), blob);
          const url = `${base()}/v2/${name}/blobs/uploads/?digest=${blob.digest}`;
          await expectStored(await send(url, { method: 'POST', body: blob.bytes }), blob);
          const sent = await patch(locationOf(await start()), blob.bytes);
          await expectStored(await put(locationOf(sent), blob.digest), blob);
        }
      },
    },
  ];
}
