import { connect } from 'node:net';
import { ACCEPT } from './target.ts';

/** The status of one GET below a registry's URL, on a connection of its own; undefined when nothing answers. */
export function statusOf(registry: string, path: string): Promise<number | undefined> {
  const url = new URL(registry);
  const below = `${url.pathname.replace(/\/$/, '')}${path}`;
  return new Promise((resolve) => {
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const socket = connect({ host, port: Number(url.port || 80) });
    const end = (status?: number) => {
      socket.destroy();
      resolve(status);
    };
    socket.setTimeout(500, () => end());
    socket.on('error', () => end());
    socket.on('close', () => end());
    socket.on('connect', () => {
      // Where nobody listens on a port of the ephemeral range, a connection may meet itself.
      if (socket.localPort === socket.remotePort) return end();
      socket.write(
        `GET ${below} HTTP/1.1\r\nHost: ${url.host}\r\n${ACCEPT}Connection: close\r\n\r\n`,
      );
    });
    socket.once('data', (head) => end(Number(head.subarray(9, 12).toString('latin1'))));
  });
}
