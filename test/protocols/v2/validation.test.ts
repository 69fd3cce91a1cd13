import { describe, it } from 'node:test';
import type { ManifestPolicy } from '../../../storage/manifests.ts';
import { check, send } from '../../support/http-row.ts';
import {
  describe as described,
  descriptor,
  digest,
  type Image,
  image,
  OCI_INDEX,
  Pusher,
} from '../../support/oci-content.ts';
import { startServer } from '../../support/server.ts';

const FOREIGN = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip';
const NONDISTRIBUTABLE = 'application/vnd.oci.image.layer.nondistributable.v1.tar';

function withLayer(mediaType: string, urls?: string[]): Image {
  const own = image();
  const layer = { mediaType, digest: digest('elsewhere'), size: 10, ...(urls && { urls }) };
  return image({ ...own, fields: { layers: [...own.layers.map(descriptor), layer] } });
}

function sparseIndex(platforms: [string, string][]): ReturnType<typeof described> {
  const manifests = platforms.map(([os, architecture]) => ({
    ...descriptor(image()),
    platform: { os, architecture },
  }));
  return described(
    JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }),
    OCI_INDEX,
  );
}

interface Row {
  name: string;
  policy?: Partial<ManifestPolicy>;
  manifest: Image | ReturnType<typeof described>;
  status: 201 | 400;
  code?: string;
}

const allow = (...rules: RegExp[]) => ({ urls: { allow: rules, deny: [] } });
const missing = { status: 400, code: 'MANIFEST_BLOB_UNKNOWN' } as const;
const invalid = { status: 400, code: 'MANIFEST_INVALID' } as const;

const rows: Row[] = [
  {
    name: 'a foreign layer with a URL',
    manifest: withLayer(FOREIGN, ['https://x.test/y']),
    status: 201,
  },
  { name: 'a foreign layer without URLs', manifest: withLayer(FOREIGN), ...invalid },
  {
    name: 'a non-distributable layer with a URL',
    manifest: withLayer(NONDISTRIBUTABLE, ['http://x.test/y']),
    status: 201,
  },
  {
    name: 'a non-distributable layer without URLs',
    manifest: withLayer(NONDISTRIBUTABLE),
    ...missing,
  },
  {
    name: 'an ordinary layer with a URL that is not here',
    manifest: withLayer('a/layer', ['https://x.test/y']),
    ...missing,
  },
  {
    name: 'a URL that the policy allows',
    policy: allow(/^https:\/\/x\.test\//),
    manifest: withLayer(FOREIGN, ['https://x.test/y']),
    status: 201,
  },
  {
    name: 'a URL that no rule allows',
    policy: allow(/^https:\/\/z\.test\//),
    manifest: withLayer(FOREIGN, ['https://x.test/y']),
    ...invalid,
  },
  {
    name: 'any URL where the list of rules is empty',
    policy: allow(),
    manifest: withLayer(FOREIGN, ['https://x.test/y']),
    ...invalid,
  },
  {
    name: 'a URL that a rule denies',
    policy: { urls: { allow: [/./], deny: [/x\.test/] } },
    manifest: withLayer(FOREIGN, ['https://x.test/y']),
    ...invalid,
  },
  {
    name: 'one bad URL among good ones',
    policy: allow(/x\.test/),
    manifest: withLayer(FOREIGN, ['https://x.test/y', 'https://z.test/']),
    ...invalid,
  },
  { name: 'a sparse index', manifest: sparseIndex([['linux', 'amd64']]), ...missing },
  {
    name: 'a sparse index where none is checked',
    policy: { indexes: 'none' },
    manifest: sparseIndex([['linux', 'amd64']]),
    status: 201,
  },
  {
    name: 'a sparse index where its platform is checked',
    policy: { indexes: [{ os: 'linux', architecture: 'amd64' }] },
    manifest: sparseIndex([['linux', 'amd64']]),
    ...missing,
  },
  {
    name: 'a sparse index where another platform is checked',
    policy: { indexes: [{ os: 'linux', architecture: 'arm64' }] },
    manifest: sparseIndex([['linux', 'amd64']]),
    status: 201,
  },
  {
    name: 'an image without its blobs where references are not checked',
    policy: { references: false },
    manifest: sparseIndex([['linux', 'amd64']]),
    status: 201,
  },
];

describe('what the operator lets into the store', () => {
  for (const { name, policy, manifest, status, code } of rows) {
    it(`${name}: ${status}`, async () => {
      const server = await startServer({
        content: { policy: { references: true, indexes: 'all', ...policy } },
      });
      try {
        const push = new Pusher(() => server.url);
        if ('layers' in manifest) {
          for (const blob of [manifest.config, ...manifest.layers]) await push.blob('repo', blob);
        }
        const url = `${server.url}/v2/repo/manifests/tag`;
        const headers = { 'content-type': manifest.mediaType };
        const answer = await send(url, { method: 'PUT', headers, body: manifest.bytes });
        check(answer, { status, ...(code && { code }) });
        check(await send(url), { status: status === 201 ? 200 : 404 });
      } finally {
        await server.close();
      }
    });
  }
});
