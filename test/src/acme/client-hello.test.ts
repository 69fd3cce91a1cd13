import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { firstRecordLength, offeredProtocols } from '../../../src/acme/client-hello.ts';

/** The first record that Node's own TLS client sends. */
async function hello(protocols: string[]): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = connect({ port, servername: 'a.example', ALPNProtocols: protocols });
  client.on('error', () => {});
  const [socket] = (await once(server, 'connection')) as [Socket];
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}

test('reads the protocols that a TLS client offers', async () => {
  const bytes = await hello(['acme-tls/1', 'h2']);
  assert.equal(firstRecordLength(bytes), bytes.length);
  assert.deepEqual(offeredProtocols(bytes), ['acme-tls/1', 'h2']);
  assert.deepEqual(offeredProtocols(await hello([])), []);
});

test('finds no protocols in what is cut off, or no TLS', async () => {
  const bytes = await hello(['acme-tls/1']);
  for (let length = 0; length < 100; length += 7)
    assert.deepEqual(offeredProtocols(bytes.subarray(0, length)), []);
  assert.deepEqual(offeredProtocols(Buffer.from('GET / HTTP/1.1\r\n\r\n')), []);
  assert.equal(firstRecordLength(bytes.subarray(0, 4)), undefined);
});
