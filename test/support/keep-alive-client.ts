import { Agent, request } from 'node:http';
import type { Answer } from './http-client.ts';

/** A client with one connection, which stays with the worker that took it. Its requests go out one by one. */
export class KeepAliveClient {
  readonly name: string;
  readonly #port: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  /** Talks to `port` of 127.0.0.1; `name` is the User-Agent. */
  constructor(port: number, name: string) {
    this.#port = port;
    this.name = name;
  }

  /** One request and its whole answer. `path` may be a Location as the registry sent it. */
  ask(
    method: string,
    path: string,
    headers: Record<string, string> = {},
    body: Buffer | string = '',
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const { pathname, search } = new URL(path, 'http://127.0.0.1');
      const outgoing = request({
        host: '127.0.0.1',
        port: this.#port,
        method,
        path: pathname + search,
        agent: this.#agent,
        headers: {
          'user-agent': this.name,
          ...(!headers['transfer-encoding'] && {
            'content-length': String(Buffer.byteLength(body)),
          }),
          ...headers,
        },
      });
      outgoing.once('error', reject);
      outgoing.once('response', (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.once('error', reject);
        incoming.once('end', () =>
          resolve({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers,
            body: Buffer.concat(chunks),
          }),
        );
      });
      outgoing.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}
