import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { type Digest, digestOf } from '../../../storage/digest.ts';
import type { LayerBody } from '../../../storage/v1-images.ts';
import { exchanges, send } from '../../support/exchanges.ts';
import { idOf, makeImage, pushLine } from '../../support/v1-images.ts';
import { type RunningRegistry, startRegistry } from '../../support/v1-registry.ts';
import { payloadSum } from '../../support/v1-sums.ts';

const image = await makeImage('image');
const { layer } = image;
const N = layer.length;
const SUM = payloadSum(Buffer.from(image.json), layer);
const PATH = `/v1/images/${image.id}/layer`;
const LAYER = digestOf(layer);
const BLOB = `sha256:${idOf('blob')}` as Digest;

function part(start: number, end: number): Buffer {
  return layer.subarray(start, end + 1);
}

describe('V1 layers', () => {
  let server: RunningRegistry;
  before(async () => {
    server = await startRegistry();
    await pushLine(server.url, 'box', 'v1', [image]);
  });
  after(() => server.close());

  it('sends the bytes as they came', async () => {
    const answer = await send(server.url, { path: PATH });
    assert.deepEqual(answer.body, layer);
    assert.equal(answer.headers['content-type'], 'application/octet-stream');
    assert.equal(answer.headers['content-length'], String(N));
    assert.equal(answer.headers['accept-ranges'], 'bytes');
    assert.equal(answer.headers['content-encoding'], undefined);
    assert.equal(answer.headers['cache-control'], 'public, max-age=31536000');
    assert.equal(answer.headers.etag, `"${SUM}"`);
  });

  it('never compresses, whatever the client takes', async () => {
    const answer = await send(server.url, { path: PATH, headers: { 'accept-encoding': 'gzip' } });
    assert.deepEqual(answer.body, layer);
    assert.equal(answer.headers['content-encoding'], undefined);
  });

  const parts: [string, string, number, number][] = [
    ['a part', 'bytes=2-9', 2, 9],
    ['one byte', 'bytes=0-0', 0, 0],
    ['the last byte', `bytes=${N - 1}-${N - 1}`, N - 1, N - 1],
    ['everything from an offset on', 'bytes=10-', 10, N - 1],
    ['the rest, as engines ask: up to one past the last byte', `bytes=10-${N}`, 10, N - 1],
    ['the rest, with an end far beyond', `bytes=10-${N * 9}`, 10, N - 1],
    ['the last bytes', 'bytes=-7', N - 7, N - 1],
    ['more last bytes than there are', `bytes=-${N * 2}`, 0, N - 1],
    ['a part, with blanks about', '  bytes=2-9  ', 2, 9],
  ];
  for (const [name, range, start, end] of parts) {
    it(`sends ${name}`, async () => {
      const answer = await send(server.url, { path: PATH, headers: { range } });
      assert.equal(answer.status, 206);
      assert.deepEqual(answer.body, part(start, end));
      assert.equal(answer.headers['content-range'], `bytes ${start}-${end}/${N}`);
      assert.equal(answer.headers['content-length'], String(end - start + 1));
      assert.equal(answer.headers['cache-control'], 'public, max-age=31536000');
    });
  }

  for (const range of [
    'bytes=0-1,4-5',
    'items=0-5',
    'bytes',
    'bytes=',
    'bytes=-',
    'bytes=a-b',
    'bytes=1.5-2',
    'bytes=0x1-5',
    'nonsense',
    '0-5',
  ]) {
    it(`sends the whole layer to Range: ${range}`, async () => {
      const answer = await send(server.url, { path: PATH, headers: { range } });
      assert.equal(answer.status, 200);
      assert.deepEqual(answer.body, layer);
    });
  }

  exchanges(
    () => server.url,
    [
      ...[`bytes=${N}-${N}`, `bytes=${N}-`, `bytes=${N * 2}-`, 'bytes=9-5', 'bytes=-0'].map(
        (range) => ({
          name: `has nothing for Range: ${range}`,
          path: PATH,
          headers: { range },
          status: 416,
          text: '',
          answer: {
            'content-length': '0',
            'content-range': `bytes */${N}`,
            'cache-control': 'no-cache',
            etag: undefined,
          },
        }),
      ),
      {
        name: 'answers HEAD with length and ranges',
        method: 'HEAD',
        path: PATH,
        status: 200,
        text: '',
        answer: { 'content-length': String(N), 'accept-ranges': 'bytes' },
      },
      {
        name: 'answers HEAD with a range',
        method: 'HEAD',
        path: PATH,
        headers: { range: 'bytes=1-3' },
        status: 206,
        answer: { 'content-length': '3', 'content-range': `bytes 1-3/${N}` },
      },
      {
        name: 'sends a part when If-Range names the layer',
        path: PATH,
        headers: { range: 'bytes=0-1', 'if-range': `"${SUM}"` },
        status: 206,
      },
      {
        name: 'sends the whole when If-Range names another',
        path: PATH,
        headers: { range: 'bytes=0-1', 'if-range': '"other"' },
        status: 200,
        answer: { 'content-length': String(N) },
      },
      {
        name: 'answers 304 before it looks at a range',
        path: PATH,
        headers: { range: 'bytes=0-1', 'if-none-match': `"${SUM}"` },
        status: 304,
      },
      { name: 'takes a trailing slash', path: `${PATH}/`, status: 200 },
    ],
  );

  it('tells the event sink of a pull, and not of a look', async () => {
    const before = server.events.length;
    await send(server.url, { path: PATH, method: 'HEAD' });
    await send(server.url, { path: PATH });
    const told = server.events.slice(before);
    assert.deepEqual(
      told.map(({ action, target }) => [action, target]),
      [
        [
          'pull',
          { imageId: image.id, mediaType: 'application/octet-stream', size: N, digest: LAYER },
        ],
      ],
    );
  });
});

describe('V1 layers that the store knows more of', () => {
  let server: RunningRegistry;
  /** Laid over the stored layer by each test. */
  let change: Partial<LayerBody> = {};
  before(async () => {
    server = await startRegistry();
    await pushLine(server.url, 'box', 'v1', [image]);
    const { v1 } = server.registry.content;
    const find = v1.image.bind(v1);
    v1.image = async (id, reader) => {
      const found = await find(id, reader);
      const { blob: _, ...body } = found.layer;
      return { ...found, checksums: [], layer: { ...body, ...change } };
    };
  });
  after(() => server.close());

  it('sends an empty layer as an empty body', async () => {
    change = { size: 0, open: async () => Readable.from([]) };
    const answer = await send(server.url, { path: PATH });
    assert.deepEqual([answer.status, answer.headers['content-length']], [200, '0']);
    const ranged = await send(server.url, { path: PATH, headers: { range: 'bytes=0-0' } });
    assert.deepEqual([ranged.status, ranged.headers['content-length']], [416, '0']);
  });

  it('offers no ranges of what is unpacked on the way', async () => {
    change = { seekable: false };
    const answer = await send(server.url, { path: PATH, headers: { range: 'bytes=0-1' } });
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.body, layer);
    assert.equal(answer.headers['accept-ranges'], 'none');
    assert.equal(answer.headers.etag, `"${image.id}-tar"`);
  });

  it('redirects to where the blob can be fetched', async () => {
    change = { blob: BLOB };
    const { blobs } = server.registry.content;
    Object.defineProperty(blobs, 'redirects', { value: true });
    blobs.redirectUrl = async (digest) => new URL(`http://bucket.example/${digest}?signed`);
    for (const method of ['GET', 'HEAD']) {
      const answer = await send(server.url, { path: PATH, method });
      assert.equal(answer.status, 302);
      assert.equal(answer.headers.location, `http://bucket.example/${BLOB}?signed`);
      assert.equal(answer.headers['cache-control'], 'no-cache');
      assert.equal(answer.body.length, 0);
    }
    blobs.redirectUrl = async () => undefined;
  });

  it('names the blob as the entity where there is no payload sum', async () => {
    change = { blob: LAYER };
    assert.equal((await send(server.url, { path: PATH })).headers.etag, `"${LAYER}"`);
  });

  it('lets the web server in front send the file', async () => {
    change = { blob: LAYER, size: 1 << 20 };
    const { registry } = server;
    registry.content.blobs.filename = () => '/data/blobs/x/data';
    registry.accelRedirect = { prefix: '/internal', root: '/data' };
    const headers = { 'x-forwarded-for': '192.0.2.1' };
    const answer = await send(server.url, { path: PATH, headers });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['x-accel-redirect'], '/internal/blobs/x/data');
    assert.equal(answer.headers['content-type'], 'application/octet-stream');
    assert.equal(answer.body.length, 0);
    const head = await send(server.url, { path: PATH, method: 'HEAD', headers });
    assert.equal(head.headers['x-accel-redirect'], undefined);
    assert.equal(head.headers['content-length'], String(1 << 20));
    delete registry.accelRedirect;
  });

  it('breaks the connection off when the storage fails on the way', async () => {
    change = {
      open: async () =>
        Readable.from(
          (async function* () {
            yield layer.subarray(0, 10);
            throw new Error('EIO');
          })(),
        ),
    };
    await assert.rejects(send(server.url, { path: PATH }));
  });

  it('stops reading when the client goes away', async () => {
    const source = new Readable({
      read() {
        this.push(Buffer.alloc(64 << 10));
      },
    });
    change = { size: 1e12, open: async () => source };
    const socket = createConnection(server.port, '127.0.0.1');
    socket.write(`GET ${PATH} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await once(socket, 'data');
    socket.destroy();
    await new Promise((closed) => source.once('close', closed));
    assert.equal(source.destroyed, true);
  });
});
