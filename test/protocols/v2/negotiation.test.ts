import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { Accept } from '../../../protocols/v2/accept.ts';
import { check, type Expectation, send } from '../../support/http-row.ts';
import {
  type Described,
  DOCKER_LIST,
  DOCKER_MANIFEST,
  describe as described,
  descriptor,
  type Image,
  image,
  index,
  OCI_INDEX,
  OCI_MANIFEST,
  Pusher,
} from '../../support/oci-content.ts';
import { useServer } from '../../support/server.ts';

const SCHEMA1 = 'application/vnd.docker.distribution.manifest.v1+prettyjws';

function dockerList(children: [Described, string, string][]): Described {
  const manifests = children.map(([child, os, architecture]) => ({
    ...descriptor(child),
    platform: { os, architecture },
  }));
  return described(
    JSON.stringify({ schemaVersion: 2, mediaType: DOCKER_LIST, manifests }),
    DOCKER_LIST,
  );
}

describe('which form of a manifest a client gets', () => {
  const server = useServer();
  const push = new Pusher(() => server.url);
  const oci = image();
  const docker = image({ mediaType: DOCKER_MANIFEST });
  const arm = image({ mediaType: DOCKER_MANIFEST });
  const ociIndex = index([oci]);
  const list = dockerList([
    [arm, 'linux', 'arm64'],
    [docker, 'linux', 'amd64'],
  ]);
  const armList = dockerList([[arm, 'linux', 'arm64']]);

  before(async () => {
    for (const one of [oci, docker, arm] as Image[]) await push.image('repo', one);
    for (const [tag, one] of Object.entries({
      oci,
      docker,
      index: ociIndex,
      list,
      arms: armList,
    })) {
      await push.manifest('repo', one, tag);
    }
  });

  const is = (manifest: Described): Expectation => ({
    status: 200,
    body: manifest.bytes,
    headers: {
      'content-type': manifest.mediaType,
      'content-length': String(manifest.size),
      'docker-content-digest': manifest.digest,
      etag: `"${manifest.digest}"`,
    },
  });
  const unreadable = (message: RegExp): Expectation => ({
    status: 404,
    code: 'MANIFEST_UNKNOWN',
    body: message,
  });
  const noOci = unreadable(/OCI manifest found, but accept header does not support OCI manifests/);
  const noIndex = unreadable(/OCI index found, but accept header does not support OCI indexes/);
  const noList: Expectation = {
    status: 400,
    code: 'MANIFEST_INVALID',
    body: /Schema 2 manifest not supported by client/,
  };

  /** Made for clients of docker's own types that name nothing better (bridge.md 6.3). */
  const schema1: Expectation = { status: 200, headers: { 'content-type': SCHEMA1 } };

  const anything: (string | undefined)[] = [
    '*/*',
    'application/*',
    'text/html, */*;q=0.1',
    `${SCHEMA1}, */*`,
    'nonsense',
    `${OCI_MANIFEST}, ${OCI_INDEX}, ${DOCKER_MANIFEST}, ${DOCKER_LIST}`,
    `${OCI_MANIFEST};q=0.9,${OCI_INDEX} ; q=0.5 , ${DOCKER_MANIFEST.toUpperCase()};q=1,${DOCKER_LIST}`,
  ];
  const rows: [string, string | undefined, Expectation][] = [
    ...anything.flatMap((accept): [string, string | undefined, Expectation][] => [
      ['oci', accept, is(oci)],
      ['docker', accept, is(docker)],
      ['index', accept, is(ociIndex)],
      ['list', accept, is(list)],
    ]),
    ...[undefined, 'application/json'].flatMap(
      (accept): [string, string | undefined, Expectation][] => [
        ['oci', accept, is(oci)],
        ['docker', accept, schema1],
        ['index', accept, is(ociIndex)],
        ['list', accept, schema1],
      ],
    ),
    ['oci', OCI_MANIFEST, is(oci)],
    ['oci', DOCKER_MANIFEST, noOci],
    ['oci', `${OCI_MANIFEST};q=0, ${DOCKER_MANIFEST}`, noOci],
    ['oci', `${OCI_MANIFEST};q=0.000, */*`, noOci],
    ['oci', `${DOCKER_MANIFEST}, ${SCHEMA1}`, schema1],
    [oci.digest, DOCKER_MANIFEST, noOci],
    [oci.digest, undefined, is(oci)],
    [oci.digest, '*/*', is(oci)],
    ['index', OCI_MANIFEST, noIndex],
    ['index', DOCKER_LIST, noIndex],
    [ociIndex.digest, DOCKER_MANIFEST, noIndex],
    [ociIndex.digest, undefined, is(ociIndex)],
    ['docker', OCI_MANIFEST, is(docker)],
    [docker.digest, OCI_MANIFEST, is(docker)],
    ['list', DOCKER_LIST, is(list)],
    ['list', DOCKER_MANIFEST, is(docker)],
    ['list', `${DOCKER_MANIFEST}, ${SCHEMA1}`, is(docker)],
    ['list', SCHEMA1, schema1],
    ['arms', SCHEMA1, noList],
    ['list', OCI_INDEX, noList],
    ['arms', DOCKER_MANIFEST, { status: 404, code: 'MANIFEST_UNKNOWN', body: /linux\/amd64/ }],
    [list.digest, DOCKER_MANIFEST, is(list)],
    [list.digest, SCHEMA1, is(list)],
  ];
  for (const [reference, accept, expected] of rows) {
    it(`${reference.slice(0, 16)} for Accept: ${accept ?? '(none)'}`, async () => {
      const url = `${server.url}/v2/repo/manifests/${reference}`;
      const headers = accept === undefined ? {} : { accept };
      const answer = await send(url, { headers });
      check(answer, expected);
      const head = await send(url, { method: 'HEAD', headers });
      assert.equal(head.status, answer.status);
      assert.equal(head.headers['content-length'], answer.headers['content-length']);
      assert.equal(head.headers['docker-content-digest'], answer.headers['docker-content-digest']);
      assert.equal(head.body.length, 0);
    });
  }

  it('tells caches that the answer for a tag depends on Accept', async () => {
    const answer = await send(`${server.url}/v2/repo/manifests/list`);
    check(answer, { status: 200, headers: { vary: 'Accept, User-Agent' } });
  });

  it('reads several Accept lines as one list', async () => {
    const url = `${server.url}/v2/repo/manifests/oci`;
    const headers = { accept: [DOCKER_MANIFEST, OCI_MANIFEST] };
    check(await send(url, { headers }), is(oci));
  });
});

describe('Accept', () => {
  it('names only what is listed with a quality above zero', () => {
    const accept = new Accept('a/b;q=0, c/d;q=0.0, E/F;level=1;q=0.1, g, /h;x');
    assert.ok(!accept.names('a/b'));
    assert.ok(!accept.names('c/d'));
    assert.ok(accept.names('e/f'));
    assert.ok(!accept.names('g'));
  });

  it('knows a client that sends none', () => {
    assert.ok(new Accept(undefined).absent);
    assert.ok(new Accept(' ').absent);
    assert.ok(!new Accept('*/*').absent);
  });
});
