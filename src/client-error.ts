import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** Node would answer a missing Host by itself, without a body; the app does it in the protocol's form. */
export const SERVER_OPTIONS = { requireHostHeader: false } as const;

/** How long a refused client may take to read the answer before the connection is cut, in milliseconds. */
const LINGER_MS = 500;

const REFUSALS: Record<string, { status: string; message: string }> = {
  HPE_HEADER_OVERFLOW: {
    status: '431 Request Header Fields Too Large',
    message: 'the request line and headers are too large',
  },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: {
    status: '413 Payload Too Large',
    message: 'the chunk extensions are too large',
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: '408 Request Timeout',
    message: 'the request did not arrive in time',
  },
};

/**
 * Answers what never becomes a request, because node's parser refuses it, in the OCI form: smuggling shapes, wrong
 * lengths, too large headers, a TLS greeting on a plain port. Then the connection is closed.
 */
export function answerClientErrors(server: Server): void {
  const answering = new WeakMap<Duplex, ServerResponse>();
  const refused = new WeakSet<Duplex>();
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    answering.set(request.socket, response);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (refused.has(socket)) return;
    refused.add(socket);
    const { status, message } = REFUSALS[error.code ?? ''] ?? {
      status: '400 Bad Request',
      message: `malformed HTTP: ${reasonOf(error)}`,
    };
    const response = answering.get(socket);
    const open = response !== undefined && !response.writableFinished && !response.destroyed;
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
    } else if (open && response.req.complete) {
      // What cannot be read came after a whole request, whose answer goes first.
      response.once('close', () => refuse(socket, status, message));
    } else if (open && response.headersSent) {
      socket.destroy();
    } else {
      refuse(socket, status, message);
    }
  });
  server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) => {
    const body = errorBody('only Expect: 100-continue is understood');
    response.writeHead(417, {
      'Content-Type': 'application/json',
      'Content-Length': body.length,
      Connection: 'close',
    });
    response.end(body);
  });
  server.on('connect', (_request: IncomingMessage, socket: Duplex) => {
    refuse(socket, '405 Method Not Allowed', 'CONNECT is not offered', ['Allow: GET, HEAD']);
  });
}

function refuse(socket: Duplex, status: string, message: string, headers: string[] = []): void {
  if (!socket.writable) return;
  const body = errorBody(message);
  const head = [
    `HTTP/1.1 ${status}`,
    'Content-Type: application/json',
    `Content-Length: ${body.length}`,
    'Connection: close',
    ...headers,
  ];
  socket.on('error', () => undefined);
  socket.end(Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]));
  // Cutting at once would reset the connection while the client still sends, and the answer would be lost.
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}

function errorBody(message: string): Buffer {
  return Buffer.from(`${JSON.stringify({ errors: [{ code: 'UNSUPPORTED', message }] })}\n`);
}

function reasonOf(error: NodeJS.ErrnoException): string {
  const { reason } = error as { reason?: unknown };
  return typeof reason === 'string' && reason !== '' ? reason : 'this is not an HTTP request';
}
