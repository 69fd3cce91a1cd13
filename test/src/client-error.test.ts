import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { check, sendRaw } from '../support/http-row.ts';
import { useServer } from '../support/server.ts';

describe('what node’s parser refuses', () => {
  const server = useServer();

  it('is answered before the connection is cut, although the client still sends', async () => {
    const huge = `GET / HTTP/1.1\r\nHost: r\r\nX: ${'x'.repeat(4 << 20)}\r\n\r\n`;
    check(await sendRaw(server.port, huge), { status: 431, body: /"code":"UNSUPPORTED"/ });
  });

  it('is cut off in the end, even if the client keeps its side open', async () => {
    const socket = connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true });
    const closed = new Promise<'closed'>((done) => socket.on('close', () => done('closed')));
    // Writing to a connection that was cut fails: that is what is wanted here.
    socket.on('error', () => undefined);
    socket.resume();
    socket.write('NONSENSE\r\n\r\n');
    const beat = setInterval(() => socket.write('more'), 50);
    const outcome = await Promise.race([closed, pause(3000, 'open', { ref: false })]);
    clearInterval(beat);
    socket.destroy();
    assert.equal(outcome, 'closed');
  });

  it('does not break an answer that is already under way', async () => {
    const socket = connect(server.port, '127.0.0.1');
    let received = '';
    socket.on('data', (chunk) => {
      received += chunk.toString();
    });
    const ended = once(socket, 'end');
    socket.write('GET /v2/ HTTP/1.1\r\nHost: r\r\n\r\nNONSENSE\r\n\r\n');
    await ended;
    assert.match(received, /^HTTP\/1\.1 200 OK[\s\S]*\{\}HTTP\/1\.1 400 Bad Request/);
  });

  it('says what an unknown expectation should be', async () => {
    const raw = 'GET /v2/ HTTP/1.1\r\nHost: r\r\nExpect: the-best\r\n\r\n';
    check(await sendRaw(server.port, raw), { status: 417, body: /100-continue/ });
  });
});
