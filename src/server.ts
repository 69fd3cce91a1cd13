import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer, Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Logger } from '../protocols/registry.ts';
import type { AcmeCertificates } from './acme/certificates.ts';
import { ChallengeResponder } from './acme/challenge-responder.ts';
import { answerClientErrors, SERVER_OPTIONS } from './client-error.ts';
import type { HttpConfig } from './config/http.ts';
import { acceptsClient, chooseFetched, TlsError, tlsOptions, watchCertificate } from './tls.ts';

const CERTIFICATE_LOOK_MS = 10_000;
/** A connection that has not yet sent its first request when draining begins may still do so for this long. */
const FIRST_REQUEST_MS = 1000;

/**
 * HTTP over sockets that are given to it: by a listener in this process, or by the master in another. Knows which
 * requests run, so that it can be drained; closes clients that stall, and never one that is merely slow.
 */
export class HttpServer {
  readonly #config: HttpConfig;
  readonly #server: Server | TlsServer;
  readonly #stopWatching: () => void;
  readonly #challenges: ChallengeResponder | undefined;
  /** Open connections, and the answers that are being made on each. */
  readonly #connections = new Map<Socket, Set<ServerResponse>>();
  readonly #handler: RequestListener;
  #draining = false;
  #onEmpty: (() => void) | undefined;
  #served = 0;

  /** Throws a TlsError when the certificate can't be used. `certificates` are those that are fetched by ACME. */
  constructor(
    config: HttpConfig,
    handler: RequestListener,
    log: Logger,
    certificates?: AcmeCertificates,
  ) {
    this.#config = config;
    this.#handler = handler;
    this.#server = createHttpServer(config, certificates);
    this.#challenges = certificates && new ChallengeResponder(certificates);
    this.#server.on('request', (request, response) => this.#serve(request, response));
    answerClientErrors(this.#server);
    if (config.tls !== undefined && this.#server instanceof TlsServer) {
      const { tls } = config;
      this.#server.on('secureConnection', (socket: TLSSocket) => {
        if (acceptsClient(tls, socket)) this.#track(socket);
        else socket.destroy();
      });
      const server = this.#server;
      certificates?.onChange(() => server.setSecureContext(tlsOptions(tls, certificates.pemFor())));
      this.#stopWatching = watchCertificate(server, tls, log, CERTIFICATE_LOOK_MS);
    } else {
      this.#server.on('connection', (socket: Socket) => this.#track(socket));
      this.#stopWatching = () => {};
    }
    const idleMs = config.timeouts.idleSeconds * 1000;
    this.#server.setTimeout(idleMs, (socket?: Socket) => {
      if (socket !== undefined) this.#onSilence(socket, idleMs);
    });
    // Node watches the headers timeout from here on; this server itself never listens.
    this.#server.emit('listening');
  }

  /** Requests that were begun so far. */
  get served(): number {
    return this.#served;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Serves whatever comes on this connection. */
  accept(socket: Socket): void {
    const { connections } = this.#config.limits;
    if (this.#draining || (connections > 0 && this.#connections.size >= connections))
      socket.destroy();
    else if (this.#challenges !== undefined)
      this.#challenges.accept(socket, () => this.#server.emit('connection', socket));
    else this.#server.emit('connection', socket);
  }

  /**
   * Lets running requests finish, tells their clients not to come back on the same connection, closes idle
   * connections, and after `seconds` cuts whatever is left. Gives whether all finished by themselves.
   */
  async drain(seconds: number): Promise<boolean> {
    this.#draining = true;
    this.#challenges?.close();
    for (const answers of this.#connections.values())
      for (const answer of answers) lastOfConnection(answer);
    this.#server.closeIdleConnections();
    const fresh = setTimeout(() => this.#closeUnused(), FIRST_REQUEST_MS);
    const finished = await this.#emptyWithin(seconds * 1000);
    clearTimeout(fresh);
    this.close();
    return finished;
  }

  /** Cuts every connection. */
  close(): void {
    this.#draining = true;
    this.#stopWatching();
    this.#challenges?.close();
    for (const socket of this.#connections.keys()) socket.destroy();
    this.#connections.clear();
    this.#server.close();
  }

  #track(socket: Socket): void {
    this.#connections.set(socket, new Set());
    socket.once('close', () => {
      this.#connections.delete(socket);
      if (this.#connections.size === 0) this.#onEmpty?.();
    });
  }

  /** No byte moved for the whole idle time: the client's fault only if it is the one to send or to read. */
  #onSilence(socket: Socket, idleMs: number): void {
    const answers = this.#connections.get(socket) ?? new Set();
    const weAreWorking = [...answers].some(
      ({ req }) => req.complete || req.readableLength >= req.readableHighWaterMark,
    );
    if (socket.writableLength === 0 && weAreWorking) socket.setTimeout(idleMs);
    else socket.destroy();
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    this.#served += 1;
    const answers = this.#connections.get(request.socket);
    answers?.add(response);
    response.once('close', () => {
      answers?.delete(response);
      if (this.#draining) setImmediate(() => this.#server.closeIdleConnections());
    });
    if (this.#draining) lastOfConnection(response);
    this.#handler(request, response);
  }

  #closeUnused(): void {
    for (const [socket, answers] of this.#connections) if (answers.size === 0) socket.destroy();
  }

  #emptyWithin(ms: number): Promise<boolean> {
    if (this.#connections.size === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), ms);
      this.#onEmpty = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }
}

function createHttpServer(
  config: HttpConfig,
  certificates: AcmeCertificates | undefined,
): Server | TlsServer {
  const { timeouts, limits } = config;
  const options: ServerOptions = {
    // Node's own limit for a whole request would cut slow pushes; #onSilence looks at progress instead.
    ...SERVER_OPTIONS,
    requestTimeout: 0,
    headersTimeout: timeouts.headersSeconds * 1000,
    keepAliveTimeout: timeouts.keepAliveSeconds * 1000,
    maxHeaderSize: limits.headerBytes,
    connectionsCheckingInterval: Math.min(5000, Math.max(100, timeouts.headersSeconds * 250)),
  };
  if (config.tls === undefined) return createServer(options);
  const tls = tlsOptions(config.tls, certificates?.pemFor());
  const choose = certificates && { SNICallback: chooseFetched(config.tls, certificates) };
  try {
    return createTlsServer({ ...options, ...tls, ...choose });
  } catch (error) {
    const { certificate, key } = config.tls.files ?? {};
    throw new TlsError(
      `${certificate} and ${key} are no pair of certificate and key: ${(error as Error).message}`,
      error,
    );
  }
}

function lastOfConnection(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('Connection', 'close');
}
