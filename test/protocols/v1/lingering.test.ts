import assert from 'node:assert/strict';
import { createConnection } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { idOf } from '../../support/v1-images.ts';
import { type RunningRegistry, startRegistry } from '../../support/v1-registry.ts';

const MIB = 1 << 20;

describe('a V1 body that is refused on the way', () => {
  let server: RunningRegistry;
  before(async () => {
    server = await startRegistry();
  });
  after(() => server.close());

  for (const path of [
    `/v1/images/${idOf('a')}/json`,
    `/v1/images/${idOf('a')}/layer`,
    `/v1/images/none/layer`,
    '/v1/repositories/box/',
    '/v1/repositories/box/tags/v1',
    '/v1/repositories/UPPER/',
    '/v1/repositories/box/auth',
    '/v1/nothing',
  ]) {
    it(`is taken to its end, so that the client sees the answer: ${path.slice(0, 30)}`, async () => {
      const { head, error } = await sendBlindly(server.port, path, 24 * MIB);
      assert.match(head, /^HTTP\/1\.1 (200|400|404|413) /);
      assert.equal(error, undefined, 'the connection was reset');
    });
  }
});

/** Sends a chunked body to its end without looking at the answer, on a connection that closes, as engines do. */
function sendBlindly(
  port: number,
  path: string,
  bytes: number,
): Promise<{ head: string; error: Error | undefined }> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1');
    let head = '';
    let error: Error | undefined;
    socket.on('data', (chunk) => {
      head += chunk;
    });
    socket.on('error', (cause) => {
      error = cause;
    });
    socket.on('close', () => resolve({ head, error }));
    socket.write(
      `PUT ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n`,
    );
    const chunk = `${MIB.toString(16)}\r\n${'a'.repeat(MIB)}\r\n`;
    const write = (left: number) => {
      if (socket.destroyed) return;
      if (left === 0) socket.write('0\r\n\r\n');
      else socket.write(chunk, () => write(left - MIB));
    };
    write(bytes);
  });
}
