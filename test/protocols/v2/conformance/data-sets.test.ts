import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { check, headerOf, jsonOf, send } from '../../../support/http-row.ts';
import {
  ACCEPT_OCI,
  type Algorithm,
  type Described,
  describe as described,
  descriptor,
  digest,
  type Image,
  image,
  index,
  locate,
  OCI_LAYER,
  OCI_MANIFEST,
  OCTETS,
  Pusher,
  randomBlob,
} from '../../../support/oci-content.ts';
import { type TestServer, useServer } from '../../../support/server.ts';

/*
 * The official conformance suite pushes each kind of content, lists, heads and pulls it, asks for its referrers and
 * deletes it again, all in one repository. These are the same kinds, taken through the same steps.
 */
interface DataSet {
  name: string;
  blobs: Described[];
  /** In the order in which they are pushed: what is named comes before what names it. */
  manifests: Described[];
  tags?: Record<string, Described>;
  /** Whether tags are set by `?tag=` on the digest. */
  tagParam?: boolean;
}

const TYPE = 'application/vnd.example.oci.conformance.v1';
const EMPTY = 'application/vnd.oci.empty.v1+json';

function of(name: string, images: Image[], others: Described[] = []): DataSet {
  const manifests = [...images, ...others];
  const top = manifests.at(-1) as Described;
  const blobs = images.flatMap(({ config, layers }) => [config, ...layers]);
  return { name, blobs, manifests, tags: { [name]: top } };
}

function artifact(fields: Record<string, unknown> = {}, layers = [randomBlob(99, TYPE)]): Image {
  const config = described('{}', EMPTY);
  return image({ config, layers, fields: { artifactType: TYPE, ...fields } });
}

function withIndex(name: string, algorithm: Algorithm): DataSet {
  const images = [image({ algorithm }), image({ algorithm })];
  return of(name, images, [index(images, {}, algorithm)]);
}

function dataSets(): DataSet[] {
  const subject = image();
  const subjectIndex = index([subject]);
  const about = (one: Described) => ({ subject: descriptor(one) });
  const annotations = { 'org.opencontainers.conformance': 'hello conformance test' };
  const nested = [image(), image()];
  const inner = nested.map((one) => index([one]));
  const large = Object.fromEntries(
    Array.from({ length: 390 }, (_, at) => [`large-annotation-${at}`, 'A'.repeat(10_000)]),
  );
  const foreign = {
    mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
    digest: digest('elsewhere'),
    size: 123456,
    urls: ['https://store.example.com/blobs/sha256/elsewhere'],
  };
  const own = image();
  const layers = [foreign, ...own.layers.map(descriptor)];
  const tagParam = (algorithm: Algorithm): DataSet => {
    const set = withIndex(`tag-param-${algorithm}`, algorithm);
    const numbered = set.manifests.map((one, at) => [`tag-param-${algorithm}-${at}`, one]);
    return { ...set, tags: { ...set.tags, ...Object.fromEntries(numbered) }, tagParam: true };
  };
  return [
    of('image', [image({ layers: [randomBlob(), randomBlob()] })]),
    of('large-manifest', [image({ fields: { annotations: large } })]),
    withIndex('index', 'sha256'),
    of('nested-index', nested, [...inner, index(inner)]),
    of('empty-index', [], [index([])]),
    of('artifact', [artifact()]),
    of('artifact-without-layers', [artifact({}, [described('{}', EMPTY)])]),
    of('artifacts-with-subject', [
      subject,
      image({ fields: about(subject) }),
      artifact({ ...about(subject), annotations }),
      artifact({ ...about(subject), annotations }, [randomBlob(9, OCTETS)]),
    ]),
    of(
      'index-with-subject',
      [subject, artifact(about(subjectIndex))],
      [subjectIndex, index([subject], { ...about(subjectIndex), artifactType: TYPE, annotations })],
    ),
    of('missing-subject', [artifact({ ...about(image()), annotations })]),
    of('data-field', [
      image({ ...own, fields: { config: { ...descriptor(own.config), data: 'e30=' } } }),
    ]),
    of('non-distributable-layers', [image({ ...own, fields: { layers } })]),
    of('custom-fields', [image({ fields: { 'org.example': { deep: [1, null, true] } } })]),
    of('no-layers', [image({ layers: [] })]),
    { ...withIndex('sha512', 'sha512'), tags: {} },
    tagParam('sha256'),
    tagParam('sha512'),
  ];
}

for (const storage of ['memory', 'filesystem'] as const) {
  describe(`every kind of content of the official suite, on the ${storage} driver`, () => {
    const server = useServer({ storage });
    for (const set of dataSets()) {
      it(`${set.name}: push, list, head, pull, referrers, delete`, () => takeThrough(server, set));
    }

    it('leaves nothing in the log that was not expected', () => {
      assert.deepEqual(server.failures, []);
    });
  });
}

describe('content with gaps, where the operator allows it', () => {
  const policy = { references: false, indexes: 'all' } as const;
  const server = useServer({ content: { policy } });

  it('sparse: an image without one of its layers, and an index without one of its images', async () => {
    const gap = image({ layers: [randomBlob(10, OCI_LAYER)] });
    const there = image();
    const list = index([there, image()]);
    const set = of('sparse', [there], [gap, list]);
    await takeThrough(server, { ...set, blobs: [...set.blobs, gap.config] });
  });
});

async function takeThrough(server: TestServer, set: DataSet): Promise<void> {
  const name = 'conformance/repo1';
  const base = `${server.url}/v2/${name}`;
  const headers = { accept: ACCEPT_OCI };
  const tags = Object.entries(set.tags ?? {});
  const references: [string, Described][] = [
    ...tags,
    ...set.manifests.map((one): [string, Described] => [one.digest, one]),
  ];

  await pushSet(server, name, set);

  const listed = jsonOf<{ tags: string[] }>(await send(`${base}/tags/list`)).tags;
  for (const [tag] of tags) assert.ok(listed.includes(tag), `${tag} is not listed`);

  for (const [reference, { bytes, mediaType, digest: of, size }] of references) {
    const expected = {
      status: 200,
      headers: {
        'content-type': mediaType,
        'content-length': String(size),
        'docker-content-digest': of,
      },
    };
    const url = `${base}/manifests/${reference}`;
    check(await send(url, { method: 'HEAD', headers }), { ...expected, body: '' });
    check(await send(url, { headers }), { ...expected, body: bytes });
  }
  for (const { bytes, digest: of, size } of set.blobs) {
    const expected = {
      status: 200,
      headers: { 'content-length': String(size), 'docker-content-digest': of },
    };
    check(await send(`${base}/blobs/${of}`, { method: 'HEAD' }), { ...expected, body: '' });
    check(await send(`${base}/blobs/${of}`), { ...expected, body: bytes });
  }

  await checkReferrers(base, set);

  for (const [reference] of references) {
    const url = `${base}/manifests/${reference}`;
    check(await send(url, { method: 'DELETE' }), { status: [202, 404] });
    check(await send(url, { method: 'HEAD', headers }), { status: 404 });
  }
  for (const { digest: of } of set.blobs) {
    check(await send(`${base}/blobs/${of}`, { method: 'DELETE' }), { status: [202, 404] });
    check(await send(`${base}/blobs/${of}`, { method: 'HEAD' }), { status: 404 });
  }
}

async function pushSet(server: TestServer, name: string, set: DataSet): Promise<void> {
  const push = new Pusher(() => server.url);
  const tags = Object.entries(set.tags ?? {});
  for (const blob of set.blobs) await push.blob(name, blob);
  for (const manifest of set.manifests) {
    const own = set.tagParam ? tags.filter(([, one]) => one === manifest) : [];
    const query = own.map(([tag], at) => `${at === 0 ? '?' : '&'}tag=${tag}`).join('');
    const answer = await push.manifest(name, manifest, manifest.digest + query);
    const { subject } = JSON.parse(manifest.bytes.toString()) as { subject?: Described };
    check(answer, { status: 201, headers: { 'oci-subject': subject?.digest ?? null } });
    for (const [tag] of own) assert.ok(headerOf(answer, 'oci-tag').split(', ').includes(tag));
    const at = locate(server.url, headerOf(answer, 'location'));
    check(await send(at, { headers: { accept: ACCEPT_OCI } }), {
      status: 200,
      body: manifest.bytes,
    });
  }
  if (set.tagParam) return;
  for (const [tag, manifest] of tags) await push.manifest(name, manifest, tag);
}

interface Referring {
  subject?: { digest: string };
  artifactType?: string;
  config?: { mediaType: string };
  annotations?: Record<string, string>;
}

async function checkReferrers(base: string, set: DataSet): Promise<void> {
  for (const manifest of set.manifests) {
    const body = JSON.parse(manifest.bytes.toString()) as Referring;
    if (!body.subject) continue;
    const artifactType =
      body.artifactType ??
      (manifest.mediaType === OCI_MANIFEST ? body.config?.mediaType : undefined);
    const filter = artifactType ? `?artifactType=${encodeURIComponent(artifactType)}` : '';
    for (const query of ['', filter]) {
      const answer = await send(`${base}/referrers/${body.subject.digest}${query}`);
      const { manifests } = jsonOf<{ manifests: Record<string, unknown>[] }>(answer);
      assert.deepEqual(
        manifests.find((one) => one.digest === manifest.digest),
        {
          ...descriptor(manifest),
          ...(artifactType && { artifactType }),
          ...(body.annotations && { annotations: body.annotations }),
        },
      );
    }
  }
}
