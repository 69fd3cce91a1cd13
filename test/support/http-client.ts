import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

export type Body = string | Buffer | Readable;

export interface RequestInit {
  method?: string;
  headers?: Record<string, string>;
  /** A stream goes out with chunked transfer coding unless `Content-Length` is among the headers. */
  body?: Body | undefined;
  signal?: AbortSignal;
}

/** An answer that was read to its end. */
export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/**
 * Sends one request on a connection of its own, as old engines do, and gives the answer once its head has arrived.
 * The caller reads the body. An answer that comes before the body is sent wins over the broken pipe that may follow.
 */
export function open(url: string, init: RequestInit = {}): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { method = 'GET', headers = {}, body, signal } = init;
    const send = url.startsWith('https:') ? httpsRequest : httpRequest;
    const outgoing = send(url, {
      method,
      agent: false,
      headers: { connection: 'close', ...headers },
      ...(signal === undefined ? {} : { signal }),
    });
    outgoing.once('response', resolve);
    outgoing.on('error', reject);
    if (body instanceof Readable) {
      pipeline(body, outgoing).catch((error: unknown) => {
        // A server may answer and stop reading; what counts then is its answer, which is under way.
        setTimeout(reject, 500, error).unref();
      });
    } else if (body === undefined) {
      // Go sends an explicit length of zero with an empty PUT or POST; Node does not by itself.
      if (method === 'PUT' || method === 'POST' || method === 'PATCH') {
        outgoing.setHeader('content-length', 0);
      }
      outgoing.end();
    } else {
      outgoing.end(body);
    }
  });
}

/** Sends one request and reads the whole answer into memory. */
export async function request(url: string, init: RequestInit = {}): Promise<Answer> {
  const incoming = await open(url, init);
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return {
    status: incoming.statusCode ?? 0,
    headers: incoming.headers,
    body: Buffer.concat(chunks),
  };
}

/** The first value of a header, or undefined. */
export function header(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** Parses an answer's body; the message of a failure shows what came instead. */
export function jsonOf<T>(answer: Answer): T {
  const text = answer.body.toString('utf8');
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new Error(`status ${answer.status} with a body that is not JSON: ${text.slice(0, 200)}`);
  }
}
