import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { exchanges } from '../../support/exchanges.ts';
import { idOf, makeImage, pushImage, tarOf } from '../../support/v1-images.ts';
import { type RunningRegistry, startRegistry } from '../../support/v1-registry.ts';
import { payloadSum } from '../../support/v1-sums.ts';

const ID = idOf('image');
const JSON_BYTES = `{"id":"${ID}", "comment":"\u00e9"}\n`;
const LAYER = await tarOf({ a: 'x' });
const PAYLOAD = payloadSum(Buffer.from(JSON_BYTES), LAYER);
const CHILD = idOf('child');
const OLD_ID = '0123456789abcdef';

function json(id: string, more = ''): string {
  return `{"id": "${id}"${more}}`;
}

describe('V1 image pushes', () => {
  let server: RunningRegistry;
  before(async () => {
    server = await startRegistry();
  });
  after(() => server.close());

  // In the order of the tables of v1.md 1.6: the rows are one story.
  exchanges(
    () => server.url,
    [
      {
        name: 'knows no image before its push',
        path: `/v1/images/${ID}/json`,
        status: 404,
        json: { error: 'Image not found' },
      },
      {
        name: 'takes no layer before the JSON',
        method: 'PUT',
        path: `/v1/images/${ID}/layer`,
        chunks: [LAYER],
        status: 404,
        json: { error: 'Image not found' },
      },
      {
        name: 'takes no checksum before the JSON',
        method: 'PUT',
        path: `/v1/images/${ID}/checksum`,
        headers: { 'x-docker-checksum-payload': PAYLOAD },
        status: 404,
        json: { error: 'Image not found' },
      },
      {
        name: 'refuses JSON that is none',
        method: 'PUT',
        path: `/v1/images/${ID}/json`,
        body: 'nonsense',
        status: 400,
        json: { error: 'Invalid JSON' },
      },
      {
        name: 'refuses JSON without a body',
        method: 'PUT',
        path: `/v1/images/${ID}/json`,
        status: 400,
        json: { error: 'Invalid JSON' },
      },
      {
        name: 'refuses empty JSON',
        method: 'PUT',
        path: `/v1/images/${ID}/json`,
        body: '{}',
        status: 400,
        json: { error: 'Invalid JSON' },
      },
      {
        name: 'refuses JSON without an id',
        method: 'PUT',
        path: `/v1/images/${ID}/json`,
        body: '{"a": 1}',
        status: 400,
        json: { error: "Missing key `id' in JSON" },
      },
      {
        name: 'refuses JSON with another id',
        method: 'PUT',
        path: `/v1/images/${ID}/json`,
        body: json(CHILD),
        status: 400,
        json: { error: 'JSON data contains invalid id' },
      },
      {
        name: 'refuses an image before its parent',
        method: 'PUT',
        path: `/v1/images/${CHILD}/json`,
        body: json(CHILD, `, "parent": "${ID}"`),
        status: 400,
        json: { error: 'Image depends on a non existing parent' },
      },
      {
        name: 'refuses JSON above the limit',
        method: 'PUT',
        path: `/v1/images/${ID}/json`,
        body: json(ID, `, "a": "${'a'.repeat(70_000)}"`),
        status: 413,
        json: { error: 'the body is larger than the 65536 bytes allowed here' },
      },
      {
        name: 'refuses JSON above the limit that comes in chunks, and the client sees why',
        method: 'PUT',
        path: `/v1/images/${ID}/json`,
        chunks: Array.from({ length: 40 }, () => 'a'.repeat(10_000)),
        status: 413,
      },
      {
        name: 'begins a push, whatever the type says',
        method: 'PUT',
        path: `/v1/images/${ID}/json`,
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: JSON_BYTES,
        status: 200,
        text: 'true',
        answer: { 'content-type': 'application/json', 'cache-control': 'no-cache' },
      },
      {
        name: 'begins it again, in chunks',
        method: 'PUT',
        path: `/v1/images/${ID}/json/`,
        chunks: [JSON_BYTES.slice(0, 9), JSON_BYTES.slice(9)],
        status: 200,
      },
      {
        name: 'does not show an unfinished image',
        path: `/v1/images/${ID}/json`,
        status: 400,
        json: { error: 'Image is being uploaded, retry later' },
      },
      {
        name: 'does not send the layer of an unfinished image',
        path: `/v1/images/${ID}/layer`,
        status: 400,
        json: { error: 'Image is being uploaded, retry later' },
      },
      {
        name: 'does not say that an unfinished image is known, whatever the date',
        path: `/v1/images/${ID}/ancestry`,
        headers: { 'if-modified-since': new Date().toUTCString() },
        status: 400,
      },
      {
        name: 'does not list the files of an unfinished image',
        path: `/v1/images/${ID}/files`,
        status: 400,
      },
      { name: 'has no diff of an unfinished image', path: `/v1/images/${ID}/diff`, status: 400 },
      {
        name: 'takes no checksum before the layer',
        method: 'PUT',
        path: `/v1/images/${ID}/checksum`,
        headers: { 'x-docker-checksum-payload': PAYLOAD },
        status: 400,
      },
      {
        name: 'takes a layer in chunks',
        method: 'PUT',
        path: `/v1/images/${ID}/layer`,
        headers: { 'content-type': 'application/octet-stream' },
        chunks: [LAYER.subarray(0, 78), LAYER.subarray(78, 98), LAYER.subarray(98)],
        status: 200,
        text: 'true',
      },
      {
        name: 'takes the layer again, with a length and as a form',
        method: 'PUT',
        path: `/v1/images/${ID}/layer`,
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: LAYER,
        status: 200,
      },
      {
        name: 'asks for a checksum where none is sent',
        method: 'PUT',
        path: `/v1/images/${ID}/checksum`,
        status: 412,
        json: {
          error:
            'X-Docker-Checksum-Payload not set.  If you are using the Docker daemon, you should upgrade to version 0.10 or later',
        },
      },
      {
        name: 'refuses an empty checksum',
        method: 'PUT',
        path: `/v1/images/${ID}/checksum`,
        headers: { 'x-docker-checksum-payload': '' },
        status: 400,
        json: { error: "Missing Image's checksum" },
      },
      {
        name: 'refuses a checksum that differs',
        method: 'PUT',
        path: `/v1/images/${ID}/checksum`,
        headers: { 'x-docker-checksum-payload': `sha256:${'0'.repeat(64)}` },
        status: 400,
        json: { error: 'Checksum mismatch' },
      },
      {
        name: 'keeps the image unfinished after a mismatch',
        path: `/v1/images/${ID}/json`,
        status: 400,
      },
      {
        name: 'finishes the image with the right checksum beside a wrong one',
        method: 'PUT',
        path: `/v1/images/${ID}/checksum`,
        headers: { 'x-docker-checksum-payload': PAYLOAD, 'x-docker-checksum': 'tarsum+sha256:0' },
        status: 200,
        text: 'true',
      },
      {
        name: 'gives the JSON back byte for byte',
        path: `/v1/images/${ID}/json`,
        status: 200,
        text: JSON_BYTES,
        answer: {
          'x-docker-size': String(LAYER.length),
          'x-docker-checksum-payload': PAYLOAD,
          'x-docker-checksum': /^tarsum\+sha256:/,
          'content-type': 'application/json',
        },
      },
      {
        name: 'says so, literally, when the image is there already',
        method: 'PUT',
        path: `/v1/images/${ID}/json`,
        body: JSON_BYTES,
        status: 409,
        text: '{"error": "Image already exists"}',
      },
      {
        name: 'takes no other content for a finished image',
        method: 'PUT',
        path: `/v1/images/${ID}/json`,
        body: json(ID, ', "evil": true'),
        status: 409,
        text: '{"error": "Image already exists"}',
      },
      {
        name: 'takes no layer for a finished image',
        method: 'PUT',
        path: `/v1/images/${ID}/layer`,
        chunks: ['other'],
        status: 409,
        text: '{"error": "Image already exists"}',
      },
      {
        name: 'takes no checksum for a finished image',
        method: 'PUT',
        path: `/v1/images/${ID}/checksum`,
        headers: { 'x-docker-checksum-payload': PAYLOAD },
        status: 409,
        json: { error: 'Cannot set this image checksum' },
      },
      {
        name: 'takes a child once the parent is there',
        method: 'PUT',
        path: `/v1/images/${CHILD}/json`,
        body: json(CHILD, `, "parent": "${ID}"`),
        status: 200,
      },
      {
        name: 'has no GET for a checksum',
        path: `/v1/images/${ID}/checksum`,
        status: 405,
        answer: { allow: 'PUT' },
      },
      {
        name: 'deletes no image',
        method: 'DELETE',
        path: `/v1/images/${ID}/json`,
        status: 405,
        answer: { allow: 'HEAD, GET, PUT' },
      },
      {
        name: 'takes an image id of 16 digits, as old data has them',
        method: 'PUT',
        path: `/v1/images/${OLD_ID}/json`,
        body: json(OLD_ID),
        status: 200,
      },
    ],
  );
  it('tells the event sink of an image that is complete', async () => {
    const image = await makeImage('told');
    await pushImage(server.url, image, { 'user-agent': 'docker/1.5.0' });
    const { action, protocol, target, request } = server.events.at(-1) ?? {};
    assert.deepEqual([action, protocol], ['push', 'v1']);
    const digest = `sha256:${createHash('sha256').update(image.layer).digest('hex')}`;
    const layer = { mediaType: 'application/octet-stream', digest, size: image.layer.length };
    assert.deepEqual(target, { imageId: image.id, ...layer });
    assert.equal(request?.userAgent, 'docker/1.5.0');
  });
});
