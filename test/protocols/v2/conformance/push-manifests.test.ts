import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { type Answer, check, errorsOf, headerOf, send } from '../../../support/http-row.ts';
import {
  ACCEPT_OCI,
  type Described,
  describe as described,
  descriptor,
  digest,
  image,
  index,
  locate,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_LAYER,
  OCI_MANIFEST,
  Pusher,
  randomBlob,
} from '../../../support/oci-content.ts';
import { describeRequirements } from '../../../support/requirements.ts';
import { useServer } from '../../../support/server.ts';

describe('OCI distribution-spec, category Push: manifests', () => {
  const server = useServer({ storage: 'filesystem' });
  const push = new Pusher(() => server.url);
  const name = 'conformance/manifests';
  const accept = { headers: { accept: ACCEPT_OCI } };

  const put = (
    reference: string,
    body: Buffer | string,
    type: string | undefined = OCI_MANIFEST,
    headers: Record<string, string> = {},
  ): Promise<Answer> =>
    send(`${server.url}/v2/${name}/manifests/${reference}`, {
      method: 'PUT',
      headers: { ...(type !== undefined && { 'content-type': type }), ...headers },
      body,
    });
  const get = (reference: string): Promise<Answer> =>
    send(`${server.url}/v2/${name}/manifests/${reference}`, accept);
  const blobsOf = async (pushed: ReturnType<typeof image>): Promise<typeof pushed> => {
    for (const blob of [pushed.config, ...pushed.layers]) await push.blob(name, blob);
    return pushed;
  };
  const expectPullable = async (answer: Answer, manifest: Described): Promise<void> => {
    check(answer, {
      status: 201,
      headers: { 'docker-content-digest': manifest.digest, 'content-length': '0' },
    });
    check(await send(locate(server.url, headerOf(answer, 'location')), accept), {
      status: 200,
      body: manifest.bytes,
      headers: { 'content-type': manifest.mediaType, 'content-length': String(manifest.size) },
    });
  };

  describeRequirements('requirements', [
    {
      section: 'Pushing Manifests',
      level: 'MUST',
      says: 'PUT by tag answers 201 with a pullable Location and the digest',
      check: async () => {
        const pushed = await blobsOf(image());
        await expectPullable(await put('by-tag', pushed.bytes), pushed);
        check(await get('by-tag'), { status: 200, body: pushed.bytes });
      },
    },
    {
      section: 'Pushing Manifests',
      level: 'MUST',
      says: 'PUT by digest answers 201 and sets no tag',
      check: async () => {
        const pushed = await blobsOf(image());
        await expectPullable(await put(pushed.digest, pushed.bytes), pushed);
        const tags = await send(`${server.url}/v2/${name}/tags/list`);
        assert.ok(!tags.body.toString().includes(pushed.digest));
      },
    },
    {
      section: 'Pushing Manifests',
      level: 'MUST',
      says: 'PUT by sha512 digest is answered by that digest',
      check: async () => {
        const pushed = await blobsOf(image({ algorithm: 'sha512' }));
        await expectPullable(await put(pushed.digest, pushed.bytes), pushed);
      },
    },
    {
      section: 'Pushing Manifests',
      level: 'MUST',
      says: 'an image of sha256 blobs may have a sha512 digest of its own, and the other way round',
      check: async () => {
        for (const [inner, outer] of [
          ['sha256', 'sha512'],
          ['sha512', 'sha256'],
        ] as const) {
          const pushed = await blobsOf(image({ algorithm: inner }));
          const renamed = described(pushed.bytes, OCI_MANIFEST, outer);
          await expectPullable(await put(renamed.digest, renamed.bytes), renamed);
        }
      },
    },
    {
      section: 'Pushing Manifests',
      level: 'MUST',
      says: 'the bytes are kept as they came, spaces and unknown fields too',
      check: async () => {
        const pushed = await blobsOf(image());
        const spaced = JSON.stringify(
          { ...JSON.parse(pushed.bytes.toString()), 'org.example': [1, { a: null }] },
          null,
          '\t',
        );
        const manifest = described(`\n ${spaced} \n`, OCI_MANIFEST);
        await expectPullable(await put('spaces', manifest.bytes), manifest);
      },
    },
    {
      section: 'Pushing Manifests',
      level: 'MUST',
      says: 'the same manifest can be pushed again',
      check: async () => {
        const pushed = await blobsOf(image());
        await expectPullable(await put('again', pushed.bytes), pushed);
        await expectPullable(await put('again', pushed.bytes), pushed);
      },
    },
    {
      section: 'Pushing Manifests',
      level: 'MUST',
      says: 'a body that is not that of the digest is 400',
      check: async () => {
        const pushed = await blobsOf(image());
        const answer = await put(pushed.digest, Buffer.concat([pushed.bytes, Buffer.from('  ')]));
        check(answer, { status: 400, code: 'DIGEST_INVALID' });
        check(await get(pushed.digest), { status: 404 });
      },
    },
    {
      section: 'Pushing Manifests',
      level: 'MUST',
      says: 'a malformed digest is 400',
      check: async () => {
        const answer = await put('sha256:baddigeststring', (await blobsOf(image())).bytes);
        check(answer, { status: 400, code: 'DIGEST_INVALID' });
      },
    },
    {
      section: 'Pushing Manifests',
      level: 'MUST',
      says: 'missing blobs are 400, one MANIFEST_BLOB_UNKNOWN for each',
      check: async () => {
        const missing = image({ layers: [randomBlob(), randomBlob()] });
        const answer = await put('missing', missing.bytes);
        check(answer, { status: 400, code: 'MANIFEST_BLOB_UNKNOWN' });
        const errors = errorsOf(answer);
        assert.deepEqual(
          errors.map((error) => error.detail),
          [missing.config, ...missing.layers].map((blob) => blob.digest),
        );
      },
    },
    {
      section: 'Pushing Manifests',
      level: 'MUST',
      says: 'missing children of an index are 400, one error for each',
      check: async () => {
        const children = [image(), image()];
        const answer = await put('missing-index', index(children).bytes, OCI_INDEX);
        check(answer, { status: 400, code: 'MANIFEST_BLOB_UNKNOWN' });
        assert.equal(errorsOf(answer).length, 2);
      },
    },
    {
      section: 'Pushing Manifests',
      level: 'SHOULD',
      says: 'parameters of the Content-Type are ignored',
      check: async () => {
        const pushed = await blobsOf(image());
        const answer = await put('params', pushed.bytes, `${OCI_MANIFEST}; charset=utf-8`);
        await expectPullable(answer, pushed);
      },
    },
    {
      section: 'Pushing Manifests',
      level: 'MUST',
      says: 'a mediaType that is not the Content-Type is 400',
      check: async () => {
        const pushed = await blobsOf(image());
        const answer = await put('confused', pushed.bytes, OCI_INDEX);
        check(answer, { status: 400, code: 'MANIFEST_INVALID' });
      },
    },
    {
      section: 'Pushing Manifests',
      level: 'SHOULD',
      says: 'a manifest of 3.9 MB is taken',
      check: async () => {
        const annotations = Object.fromEntries(
          Array.from({ length: 390 }, (_, at) => [`large-annotation-${at}`, 'A'.repeat(10_000)]),
        );
        const large = await blobsOf(image({ fields: { annotations } }));
        await expectPullable(await put('large', large.bytes), large);
      },
    },
    {
      section: 'Pushing Manifests',
      level: 'SHOULD',
      says: 'a manifest above the limit is 413, whether its length is declared or not',
      check: async () => {
        const huge = Buffer.alloc((4 << 20) + 1, 0x20);
        check(await put('huge', huge), { status: 413, code: 'MANIFEST_INVALID' });
        const chunked = await put('huge', huge, OCI_MANIFEST, { 'transfer-encoding': 'chunked' });
        check(chunked, { status: 413, code: 'MANIFEST_INVALID' });
      },
    },
    {
      section: 'Pushing Manifests',
      level: 'MUST',
      says: 'manifests without layers, empty indexes, artifacts and nested indexes are taken',
      check: async () => {
        const bare = await blobsOf(image({ layers: [] }));
        await expectPullable(await put('no-layers', bare.bytes), bare);
        const empty = index([]);
        await expectPullable(await put('empty-index', empty.bytes, OCI_INDEX), empty);
        const nothing = described('{}', 'application/vnd.oci.empty.v1+json');
        const artifact = await blobsOf(
          image({ config: nothing, layers: [nothing], fields: { artifactType: 'a/b' } }),
        );
        await expectPullable(await put('artifact', artifact.bytes), artifact);
        const inner = index([bare, artifact]);
        await expectPullable(await put(inner.digest, inner.bytes, OCI_INDEX), inner);
        const outer = index([inner, empty]);
        await expectPullable(await put('nested', outer.bytes, OCI_INDEX), outer);
      },
    },
    {
      section: 'Pushing Manifests',
      level: 'SHOULD',
      says: 'non-distributable layers with URLs need not be here',
      check: async () => {
        const own = await blobsOf(image());
        const types = [
          'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
          'application/vnd.oci.image.layer.nondistributable.v1.tar',
        ];
        const layers = types.map((mediaType) => {
          const { digest: of, size } = randomBlob();
          return { mediaType, digest: of, size, urls: [`https://store.example.com/${of}`] };
        });
        const all = [...layers, ...own.layers.map(descriptor)];
        const pushed = image({ config: own.config, fields: { layers: all } });
        await expectPullable(await put('nondistributable', pushed.bytes), pushed);
      },
    },
    {
      section: 'Pushing Manifests',
      level: 'MAY',
      says: 'the data field and unknown fields of descriptors are borne',
      check: async () => {
        const own = await blobsOf(image());
        const config = {
          ...descriptor(own.config),
          data: own.config.bytes.toString('base64'),
          newUnspecifiedField: 'aGVsbG8gd29ybGQ=',
        };
        const pushed = image({ ...own, fields: { config } });
        await expectPullable(await put('data-field', pushed.bytes), pushed);
      },
    },
    {
      section: 'Pushing Manifests',
      level: 'MAY',
      says: 'a manifest without mediaType takes the Content-Type',
      check: async () => {
        const own = await blobsOf(image({ fields: { mediaType: undefined } }));
        await expectPullable(await put('untyped', own.bytes), own);
        const list = index([own], { mediaType: undefined });
        await expectPullable(await put('untyped-index', list.bytes, OCI_INDEX), list);
      },
    },
    {
      section: 'Pushing Manifests',
      level: 'MAY',
      says: '?tag= on a digest PUT sets the tags and OCI-Tag lists them (end-7b)',
      check: async () => {
        for (const algorithm of ['sha256', 'sha512'] as const) {
          const pushed = await blobsOf(image({ algorithm }));
          const tags = Array.from({ length: 10 }, (_, at) => `${algorithm}-tag-${at}`);
          const query = tags.map((tag) => `tag=${tag}`).join('&');
          const answer = await put(`${pushed.digest}?${query}`, pushed.bytes);
          await expectPullable(answer, pushed);
          assert.deepEqual(headerOf(answer, 'oci-tag').split(', '), tags);
          for (const tag of tags) {
            const headers = { 'docker-content-digest': pushed.digest };
            check(await get(tag), { status: 200, body: pushed.bytes, headers });
          }
        }
      },
    },
    {
      section: 'Pushing Manifests',
      level: 'MAY',
      says: '?tag= with one bad tag is refused whole',
      check: async () => {
        const pushed = await blobsOf(image());
        const answer = await put(`${pushed.digest}?tag=good-one&tag=.bad`, pushed.bytes);
        check(answer, { status: 400, code: 'TAG_INVALID' });
        check(await get('good-one'), { status: 404 });
        check(await get(pushed.digest), { status: 404 });
      },
    },
    {
      section: 'Pushing Manifests',
      level: 'MAY',
      says: 'If-Match and If-None-Match guard a tag against lost updates',
      check: async () => {
        const [one, two, three] = [
          await blobsOf(image()),
          await blobsOf(image()),
          await blobsOf(image()),
        ];
        const first = { 'if-none-match': '*' };
        check(await put('guarded', one.bytes, OCI_MANIFEST, first), { status: 201 });
        check(await put('guarded', two.bytes, OCI_MANIFEST, first), { status: 412 });
        const match = { 'if-match': `"${one.digest}"` };
        check(await put('guarded', two.bytes, OCI_MANIFEST, match), { status: 201 });
        check(await put('guarded', three.bytes, OCI_MANIFEST, match), { status: 412 });
        check(await get('guarded'), { status: 200, body: two.bytes });
      },
    },
    {
      section: 'Pushing Manifests',
      level: 'WE',
      says: 'of many racing conditional pushes of one tag exactly one wins',
      check: async () => {
        const images = await Promise.all(Array.from({ length: 8 }, () => blobsOf(image())));
        const answers = await Promise.all(
          images.map((one) => put('raced', one.bytes, OCI_MANIFEST, { 'if-none-match': '*' })),
        );
        const won = answers.filter(({ status }) => status === 201);
        assert.equal(won.length, 1);
        assert.ok(answers.every(({ status }) => status === 201 || status === 412));
        const headers = {
          'docker-content-digest': headerOf(won[0] as Answer, 'docker-content-digest'),
        };
        check(await get('raced'), { status: 200, headers });
      },
    },
    {
      section: 'Pushing a manifest with a subject field',
      level: 'MUST',
      says: 'a subject need not exist, and OCI-Subject names it',
      check: async () => {
        const subject = { mediaType: OCI_MANIFEST, digest: digest('not there'), size: 123 };
        const referrer = await blobsOf(image({ fields: { subject } }));
        const answer = await put(referrer.digest, referrer.bytes);
        await expectPullable(answer, referrer);
        check(answer, { status: 201, headers: { 'oci-subject': subject.digest } });
        const list = index([referrer], { subject });
        const listed = await put(list.digest, list.bytes, OCI_INDEX);
        check(listed, { status: 201, headers: { 'oci-subject': subject.digest } });
      },
    },
    {
      section: 'Pushing a manifest with a subject field',
      level: 'MUST',
      says: 'OCI-Subject is absent without a subject',
      check: async () => {
        const plain = await blobsOf(image());
        check(await put('plain', plain.bytes), { status: 201, headers: { 'oci-subject': null } });
      },
    },
    {
      section: 'Pushing a manifest with a subject field',
      level: 'MUST',
      says: 'a sha512 subject is named as it stands',
      check: async () => {
        const subject = { mediaType: OCI_MANIFEST, digest: digest('x', 'sha512'), size: 1 };
        const config = described('{}', OCI_CONFIG);
        const layers = [randomBlob(10, OCI_LAYER)];
        const referrer = await blobsOf(image({ config, layers, fields: { subject } }));
        const answer = await put(referrer.digest, referrer.bytes);
        check(answer, { status: 201, headers: { 'oci-subject': subject.digest } });
      },
    },
  ]);
});
