import { Connection } from './connection.ts';
import { headerOf } from './response-reader.ts';

/** What Accept says that a client of today understands. */
export const ACCEPT = `Accept: ${[
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  '*/*',
].join('\r\nAccept: ')}\r\n`;

export interface TargetAddress {
  name: string;
  url: string;
  /** `USER:PASSWORD` for Basic. */
  auth?: string | undefined;
}

export interface RequestOptions {
  /** Header lines, each with its line end. */
  headers?: string;
  body?: readonly Buffer[];
  /** Whether the body of the answer is wanted. */
  collect?: boolean;
}

export interface Reply {
  status: number;
  bytes: number;
  body: Buffer;
  header(name: string): string | undefined;
}

/** A registry under load, and the connections that are held to it. */
export class Target {
  readonly name: string;
  /** The server's process; its children count as well. */
  pid: number | undefined;
  /** Workloads that it has run on connections that are open: it needs no long time to get used to them again. */
  readonly warm = new Set<string>();
  /** Path below which it serves. */
  readonly prefix: string;
  readonly #host: string;
  readonly #port: number;
  readonly #lines: string;
  readonly #connections: Connection[] = [];

  constructor({ name, url, auth }: TargetAddress, agent = 'docker/20.10.24 bench/1') {
    const { hostname, host, port, pathname } = new URL(url);
    this.name = name;
    this.prefix = pathname.replace(/\/$/, '');
    this.#host = hostname.replace(/^\[|\]$/g, '');
    this.#port = Number(port || 80);
    const basic = auth && `Authorization: Basic ${Buffer.from(auth).toString('base64')}\r\n`;
    this.#lines = `Host: ${host}\r\nUser-Agent: ${agent}\r\n${basic ?? ''}`;
  }

  /** The bytes of a request's head. `path` is below the prefix, or is a Location as the server sent it. */
  head(method: string, path: string, headers = ''): Buffer {
    const below = path.startsWith(`${this.prefix}/`) ? path : `${this.prefix}${path}`;
    return Buffer.from(`${method} ${below} HTTP/1.1\r\n${this.#lines}${headers}\r\n`, 'latin1');
  }

  /** The first `count` connections; they stay open, as a client of today keeps them. */
  connections(count: number): Connection[] {
    while (this.#connections.length < count) {
      this.#connections.push(new Connection(this.#host, this.#port));
    }
    return this.#connections.slice(0, count);
  }

  get connection(): Connection {
    return this.connections(1)[0] as Connection;
  }

  closeAll(): void {
    this.warm.clear();
    for (const connection of this.#connections.splice(0)) connection.close();
  }

  /** One request, for everything that is not a hot loop. */
  request(
    connection: Connection,
    method: string,
    path: string,
    { headers = '', body, collect = false }: RequestOptions = {},
  ): Promise<Reply> {
    const length = body?.reduce((sum, part) => sum + part.length, 0) ?? 0;
    const declares = body !== undefined || ['POST', 'PUT', 'PATCH'].includes(method);
    const coded = /transfer-encoding/i.test(headers);
    const lines = declares && !coded ? `${headers}Content-Length: ${length}\r\n` : headers;
    const parts: Buffer[] = [];
    return new Promise((resolve, reject) => {
      connection.send(
        [this.head(method, path, lines), ...(body ?? [])],
        {
          head: method === 'HEAD',
          collect: collect ? (bytes) => parts.push(Buffer.from(bytes)) : undefined,
        },
        (error) => {
          if (error) return reject(new Error(`${method} ${path}: ${error.message}`));
          // The next request on this connection overwrites its response.
          const { head, status, bodyBytes } = connection.response;
          resolve({
            status,
            bytes: bodyBytes,
            body: Buffer.concat(parts),
            header: (name) => headerOf(head, name),
          });
        },
      );
    });
  }
}

/** Throws unless the status is one of these. */
export function must(reply: Reply, ...statuses: number[]): Reply {
  if (statuses.includes(reply.status)) return reply;
  const said = reply.body.toString('latin1').slice(0, 200);
  throw new Error(`status ${reply.status}, wanted ${statuses.join(' or ')} ${said}`);
}

/** The path of a Location header. */
export function locationOf(reply: Reply): string {
  const location = reply.header('location');
  if (location === undefined) throw new Error('an answer without Location');
  return location.replace(/^https?:\/\/[^/]*/, '');
}

export function addQuery(path: string, query: string): string {
  return `${path}${path.includes('?') ? '&' : '?'}${query}`;
}
