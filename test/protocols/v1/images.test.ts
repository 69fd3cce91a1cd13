import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { V1ImageId } from '../../../storage/names.ts';
import { check, exchanges, send } from '../../support/exchanges.ts';
import { makeImage, pushLine, type TestImage } from '../../support/v1-images.ts';
import { type RunningRegistry, startRegistry } from '../../support/v1-registry.ts';
import { payloadSum } from '../../support/v1-sums.ts';

const base = await makeImage('base');
const middle = await makeImage('middle', base);
const top = await makeImage('top', middle);
const SUM = payloadSum(Buffer.from(top.json), top.layer);
const UNKNOWN = '0'.repeat(64);
const PUBLIC = 'public, max-age=31536000';

function path(image: TestImage, what: string): string {
  return `/v1/images/${image.id}/${what}`;
}

describe('V1 images', () => {
  let server: RunningRegistry;
  before(async () => {
    server = await startRegistry();
    await pushLine(server.url, 'box', 'v1', [base, middle, top]);
  });
  after(() => server.close());

  exchanges(
    () => server.url,
    [
      {
        name: 'lets everybody keep an open image for a year',
        path: path(top, 'json'),
        status: 200,
        text: top.json,
        answer: {
          'cache-control': PUBLIC,
          'last-modified': 'Thu, 01 Jan 1970 00:00:00 GMT',
          expires: / GMT$/,
          etag: `"${SUM}"`,
          'x-docker-size': String(top.layer.length),
          'x-docker-checksum-payload': SUM,
        },
      },
      {
        name: 'gives the ancestry, the image first',
        path: path(top, 'ancestry'),
        status: 200,
        text: `["${top.id}", "${middle.id}", "${base.id}"]`,
        answer: { 'content-type': 'application/json', 'cache-control': PUBLIC },
      },
      {
        name: 'gives the ancestry of a base',
        path: path(base, 'ancestry/'),
        status: 200,
        text: `["${base.id}"]`,
      },
      {
        name: 'answers HEAD on the JSON',
        method: 'HEAD',
        path: path(top, 'json'),
        status: 200,
        text: '',
        answer: {
          'content-length': String(Buffer.byteLength(top.json)),
          'x-docker-size': String(top.layer.length),
        },
      },
      {
        name: 'answers HEAD on the ancestry',
        method: 'HEAD',
        path: path(top, 'ancestry'),
        status: 200,
      },
      {
        name: 'answers 304 to the right entity tag',
        path: path(top, 'json'),
        headers: { 'if-none-match': `"${SUM}"` },
        status: 304,
        text: '',
        answer: { etag: `"${SUM}"`, 'cache-control': PUBLIC, 'last-modified': undefined },
      },
      {
        name: 'answers 304 to a list with the right entity tag',
        path: path(top, 'layer'),
        headers: { 'if-none-match': `"x", W/"${SUM}"` },
        status: 304,
        text: '',
      },
      {
        name: 'answers whole to another entity tag, whatever the date',
        path: path(top, 'json'),
        headers: {
          'if-none-match': '"sha256:other"',
          'if-modified-since': 'Thu, 01 Jan 1970 00:00:00 GMT',
        },
        status: 200,
        text: top.json,
      },
      {
        name: 'answers 304 to a date',
        path: path(top, 'ancestry'),
        headers: { 'if-modified-since': 'Thu, 01 Jan 1970 00:00:00 GMT' },
        status: 304,
        text: '',
      },
      {
        name: 'does not take a word for a date',
        path: path(top, 'json'),
        headers: { 'if-modified-since': 'yesterday' },
        status: 200,
      },
      {
        name: 'does not say that an unknown image is known',
        path: `/v1/images/${UNKNOWN}/json`,
        headers: { 'if-modified-since': 'Thu, 01 Jan 1970 00:00:00 GMT', 'if-none-match': '*' },
        status: 404,
        json: { error: 'Image not found' },
        answer: { 'cache-control': 'no-cache', etag: undefined },
      },
      ...['layer', 'ancestry', 'files', 'diff'].map((what) => ({
        name: `knows no ${what} of an unknown image`,
        path: `/v1/images/${UNKNOWN}/${what}`,
        headers: { 'if-modified-since': 'Thu, 01 Jan 1970 00:00:00 GMT' },
        status: 404,
        json: { error: 'Image not found' },
        answer: { 'cache-control': 'no-cache' },
      })),
    ],
  );

  it('gives different entity tags to images that differ', async () => {
    const tags = new Set<string | undefined>();
    for (const image of [base, middle, top]) {
      tags.add((await send(server.url, { path: path(image, 'json') })).headers.etag);
    }
    assert.equal(tags.size, 3);
  });

  it('leaves the checksum headers out of an image that has none', async () => {
    const { v1 } = server.registry.content;
    const image = v1.image.bind(v1);
    v1.image = async (id, reader) => ({ ...(await image(id, reader)), checksums: [] });
    const row = { name: '', path: path(top, 'json'), status: 200 };
    check(await send(server.url, row), {
      ...row,
      answer: {
        'x-docker-checksum-payload': undefined,
        'x-docker-checksum': undefined,
        etag: /^"sha256:[0-9a-f]{64}"$/,
      },
    });
    v1.image = image;
  });

  it('answers a crash with 500 in its own form, and tells nothing of it', async () => {
    const { v1 } = server.registry.content;
    const image = v1.image.bind(v1);
    v1.image = async (_id: V1ImageId) => {
      throw new Error('EIO: /secret/path');
    };
    const row = {
      name: '',
      path: path(top, 'json'),
      status: 500,
      json: { error: 'unknown error' },
    };
    check(await send(server.url, row), row);
    assert.match(server.errors.at(-1) ?? '', /secret/);
    v1.image = image;
  });
});
