import { describe } from 'node:test';
import { blobSteps, CHUNK } from '../../../support/blob-steps.ts';
import { check, send } from '../../../support/http-row.ts';
import {
  type Algorithm,
  describe as described,
  digest,
  OCTETS,
} from '../../../support/oci-content.ts';
import { describeRequirements, type Requirement } from '../../../support/requirements.ts';
import { useServer } from '../../../support/server.ts';

for (const algorithm of ['sha256', 'sha512'] as const) {
  describe(`OCI distribution-spec, category Push: blobs in chunks by ${algorithm}`, () => {
    const server = useServer({ storage: 'filesystem' });
    describeRequirements(
      'requirements',
      requirementsFor(algorithm, () => server.url),
    );
  });
}

function requirementsFor(algorithm: Algorithm, base: () => string): Requirement[] {
  const {
    name,
    other,
    fresh,
    start,
    put,
    patch,
    status,
    locationOf,
    chunkOf,
    expectStored,
    pushChunks,
  } = blobSteps(algorithm, base);
  return [
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
  ];
}
