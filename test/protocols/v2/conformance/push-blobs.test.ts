import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { blobSteps } from '../../../support/blob-steps.ts';
import { check, send } from '../../../support/http-row.ts';
import {
  type Algorithm,
  describe as described,
  locate,
  OCTETS,
} from '../../../support/oci-content.ts';
import { describeRequirements, type Requirement } from '../../../support/requirements.ts';
import { useServer } from '../../../support/server.ts';

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
  const { name, other, push, fresh, start, put, patch, status, locationOf, expectStored } =
    blobSteps(algorithm, base);
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
