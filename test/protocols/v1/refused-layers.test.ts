import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { exchanges, send } from '../../support/exchanges.ts';
import { idOf, makeImage, pushImage, tarOf } from '../../support/v1-images.ts';
import { type RunningRegistry, startRegistry } from '../../support/v1-registry.ts';
import { payloadSum } from '../../support/v1-sums.ts';

const ID = idOf('image');

function json(id: string, more = ''): string {
  return `{"id": "${id}"${more}}`;
}

describe('a V1 layer that is refused while it comes, or breaks off', () => {
  let server: RunningRegistry;
  before(async () => {
    server = await startRegistry();
    const image = { id: ID, json: json(ID), layer: await tarOf({ a: 'x' }) };
    await pushImage(server.url, image);
  });
  after(() => server.close());

  it('lets an engine see the refusal of a layer that it is still sending', async () => {
    const answer = await refusedWhileSending(server.port, `/v1/images/${ID}/layer`, 24 << 20);
    assert.match(answer.text, /^HTTP\/1\.1 409 /);
    assert.match(answer.text, /\{"error": "Image already exists"\}$/);
    assert.equal(answer.error, undefined, 'the connection was reset');
  });

  it('answers before the layer is sent whole', async () => {
    const socket = createConnection(server.port, '127.0.0.1');
    socket.write(
      `PUT /v1/images/${ID}/layer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n`,
    );
    const [head] = (await once(socket, 'data')) as [Buffer];
    assert.match(head.toString(), /^HTTP\/1\.1 409 /);
    socket.destroy();
  });

  it('stores nothing of a layer that breaks off, and logs no failure', async () => {
    const image = await makeImage('broken off');
    const path = `/v1/images/${image.id}`;
    await send(server.url, { method: 'PUT', path: `${path}/json`, body: image.json });
    const socket = createConnection(server.port, '127.0.0.1');
    socket.write(`PUT ${path}/layer HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabcd`);
    await new Promise((resolve) => setTimeout(resolve, 50));
    socket.destroy();
    await new Promise((resolve) => setTimeout(resolve, 50));
    const sum = payloadSum(Buffer.from(image.json), Buffer.from('abcd'));
    const answer = await send(server.url, {
      method: 'PUT',
      path: `${path}/checksum`,
      headers: { 'x-docker-checksum-payload': sum },
    });
    assert.equal(answer.status, 400);
    assert.deepEqual(server.errors, []);
    await pushImage(server.url, image);
  });
});

describe('V1 image pushes with a limit on layers', () => {
  let server: RunningRegistry;
  before(async () => {
    server = await startRegistry((registry) => {
      registry.limits.layerBytes = 1000;
    });
    await send(server.url, { method: 'PUT', path: `/v1/images/${ID}/json`, body: json(ID) });
  });
  after(() => server.close());

  exchanges(
    () => server.url,
    [
      {
        name: 'refuses a layer whose length is above the limit',
        method: 'PUT',
        path: `/v1/images/${ID}/layer`,
        body: 'a'.repeat(1001),
        status: 413,
        json: { error: 'a layer may have 1000 bytes at most' },
      },
      {
        name: 'refuses a layer that grows above the limit',
        method: 'PUT',
        path: `/v1/images/${ID}/layer`,
        chunks: ['a'.repeat(600), 'a'.repeat(600), 'a'.repeat(100_000)],
        status: 413,
        json: { error: 'a layer may have 1000 bytes at most' },
      },
      {
        name: 'takes a layer at the limit',
        method: 'PUT',
        path: `/v1/images/${ID}/layer`,
        chunks: ['a'.repeat(1000)],
        status: 200,
      },
    ],
  );
});

/** Sends a chunked layer as Go does, without looking at answers; gives what came back, and whether writing failed. */
function refusedWhileSending(
  port: number,
  path: string,
  bytes: number,
): Promise<{ text: string; error: Error | undefined }> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1');
    let text = '';
    let error: Error | undefined;
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('error', (cause) => {
      error = cause;
    });
    socket.on('close', () => resolve({ text, error }));
    socket.write(
      `PUT ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n`,
    );
    const chunk = Buffer.concat([
      Buffer.from('10000\r\n'),
      Buffer.alloc(0x10000, 'a'),
      Buffer.from('\r\n'),
    ]);
    let left = bytes;
    const write = () => {
      while (left > 0 && !socket.destroyed) {
        left -= 0x10000;
        if (!socket.write(chunk)) {
          socket.once('drain', write);
          return;
        }
      }
      if (!socket.destroyed) socket.write('0\r\n\r\n');
    };
    write();
  });
}
