import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { exchanges, send } from '../../support/exchanges.ts';
import { idOf, makeImage, pushLine, type TestImage, tarOf } from '../../support/v1-images.ts';
import { type RunningRegistry, startRegistry } from '../../support/v1-registry.ts';

const base = await makeImage('base', undefined, {
  './': null,
  './etc/': null,
  './etc/kept': 'same',
  './etc/passwd': 'old',
  './etc/hidden': 'x',
  './usr/lib/.wh..wh.plnk': null,
});
const middle = await makeImage('middle', base, {
  'etc/.wh.hidden': null,
  '.wh.tmp': null,
});
const top = await makeImage('top', middle, {
  'etc/passwd': 'new!',
  'etc/hidden': 'back again',
  'etc/born': 'b',
  'usr/lib/.wh.gone': null,
  'usr/.wh..wh..opq': null,
});

function withLayer(word: string, layer: Buffer): TestImage {
  const id = idOf(word);
  return { id, json: JSON.stringify({ id }), layer };
}

const noTar = withLayer('no tar', Buffer.from('x'.repeat(2000)));
const cutGzip = withLayer('cut gzip', base.layer.subarray(0, base.layer.length - 20));
const nothing = withLayer('nothing', Buffer.alloc(0));
const emptyTar = withLayer('empty tar', gzipSync(Buffer.alloc(1024)));
const endless = withLayer('endless', (await tarOf({ a: 'x' })).subarray(0, 1024));
const bomb = withLayer(
  'bomb',
  Buffer.concat(Array.from({ length: 5 }, () => gzipSync(Buffer.alloc(64 << 20, 0), { level: 9 }))),
);

const T = 1_400_000_000;

describe('V1 files and diffs', () => {
  let server: RunningRegistry;
  before(async () => {
    server = await startRegistry();
    await pushLine(server.url, 'box', 'v1', [base, middle, top]);
    for (const [tag, image] of Object.entries({
      noTar,
      cutGzip,
      nothing,
      emptyTar,
      endless,
      bomb,
    })) {
      await pushLine(server.url, 'odd', tag, [image]);
    }
  });
  after(() => server.close());

  exchanges(
    () => server.url,
    [
      {
        name: 'lists the files of a layer in the order of the archive',
        path: `/v1/images/${base.id}/files`,
        status: 200,
        text: `[["/", "d", false, 0, ${T}, 420, 0, 0], ["/etc", "d", false, 0, ${T}, 420, 0, 0], ["/etc/kept", "f", false, 4, ${T}, 420, 0, 0], ["/etc/passwd", "f", false, 3, ${T}, 420, 0, 0], ["/etc/hidden", "f", false, 1, ${T}, 420, 0, 0]]`,
        answer: {
          'content-type': 'application/json',
          'cache-control': 'public, max-age=31536000',
          etag: /^"sha256:/,
        },
      },
      {
        name: 'knows whiteouts in any directory',
        path: `/v1/images/${middle.id}/files/`,
        status: 200,
        json: [
          ['etc/hidden', 'f', true, 0, T, 420, 0, 0],
          ['tmp', 'f', true, 0, T, 420, 0, 0],
        ],
      },
      {
        name: 'tells what a layer creates, changes and deletes',
        path: `/v1/images/${top.id}/diff`,
        status: 200,
        json: {
          deleted: { 'usr/lib/gone': ['f', true, 0, T, 420, 0, 0] },
          changed: { 'etc/passwd': ['f', false, 4, T, 420, 0, 0] },
          created: {
            'etc/hidden': ['f', false, 10, T, 420, 0, 0],
            'etc/born': ['f', false, 1, T, 420, 0, 0],
          },
        },
        answer: { 'cache-control': 'public, max-age=31536000' },
      },
      {
        name: 'says that a base creates everything',
        path: `/v1/images/${base.id}/diff`,
        status: 200,
        text: /^\{"changed": \{\}, "created": \{"\/": .*\}, "deleted": \{\}\}$/,
      },
      {
        name: 'answers HEAD on the files',
        method: 'HEAD',
        path: `/v1/images/${base.id}/files`,
        status: 200,
      },
      {
        name: 'answers HEAD on the diff',
        method: 'HEAD',
        path: `/v1/images/${base.id}/diff`,
        status: 200,
      },
      {
        name: 'lists no files of an empty archive',
        path: `/v1/images/${emptyTar.id}/files`,
        status: 200,
        text: '[]',
      },
      {
        name: 'reads an archive without its closing blocks, as engines up to 1.2 made it',
        path: `/v1/images/${endless.id}/files`,
        status: 200,
        json: [['a', 'f', false, 1, T, 420, 0, 0]],
      },
      {
        name: 'lists no files of a layer of no bytes, which is sent as the empty tar',
        path: `/v1/images/${nothing.id}/files`,
        status: 200,
        text: '[]',
      },
      ...[noTar, cutGzip, bomb].map((image, index) => ({
        name: `refuses to list ${['what is no tar', 'a cut layer', 'a bomb'][index]}`,
        path: `/v1/images/${image.id}/files`,
        status: 400,
        json: { error: 'Layer format not supported' },
        answer: { 'cache-control': 'no-cache' },
      })),
      {
        name: 'refuses a diff of what is no tar',
        path: `/v1/images/${noTar.id}/diff`,
        status: 400,
        json: { error: 'Layer format not supported' },
      },
    ],
  );

  it('answers 304 to the list that the client has', async () => {
    const path = `/v1/images/${base.id}/files`;
    const { headers } = await send(server.url, { path });
    const again = await send(server.url, { path, headers: { 'if-none-match': headers.etag } });
    assert.equal(again.status, 304);
  });
});

describe('V1 files of layers under our control', () => {
  let server: RunningRegistry;
  let opened = 0;
  let source: () => Readable = () => Readable.from([]);
  before(async () => {
    server = await startRegistry();
    await pushLine(server.url, 'box', 'v1', [base, middle]);
    const { v1 } = server.registry.content;
    const find = v1.image.bind(v1);
    v1.image = async (id, reader) => {
      const found = await find(id, reader);
      const open = async () => {
        opened += 1;
        return source();
      };
      return { ...found, layer: { size: 2048, seekable: false, open } };
    };
  });
  after(() => server.close());

  it('reads a layer once, however many ask', async () => {
    const tar = await tarOf({ a: 'x' });
    source = () => Readable.from(slowly(tar, 20));
    opened = 0;
    const path = `/v1/images/${base.id}/files`;
    const answers = await Promise.all(Array.from({ length: 5 }, () => send(server.url, { path })));
    answers.push(await send(server.url, { path }));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
    assert.equal(opened, 1);
  });

  it('says that a diff is not ready, and has it later', async () => {
    const tar = await tarOf({ a: 'x' });
    source = () => Readable.from(slowly(tar, 1300));
    const path = `/v1/images/${middle.id}/diff`;
    const early = await send(server.url, { path });
    assert.deepEqual([early.status, early.body.length], [200, 0]);
    assert.equal(early.headers['cache-control'], 'no-cache');
    await new Promise((resolve) => setTimeout(resolve, 4000));
    const later = await send(server.url, { path });
    assert.deepEqual(Object.keys(JSON.parse(later.body.toString()).changed), ['a']);
  });

  it('takes a storage that fails for what it is, and not for a bad layer', async () => {
    source = () =>
      new Readable({
        read() {
          this.destroy(new Error('EIO'));
        },
      });
    const id = base.id;
    const answer = await send(server.url, { path: `/v1/images/${id}/diff` });
    assert.equal(answer.status, 500);
    assert.match(server.errors.at(-1) ?? '', /EIO/);
  });
});

async function* slowly(bytes: Buffer, ms: number): AsyncGenerator<Buffer> {
  yield bytes.subarray(0, 600);
  await new Promise((resolve) => setTimeout(resolve, ms));
  yield bytes.subarray(600);
}
