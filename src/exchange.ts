import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Incoming, RequestNotes } from '../protocols/answer.ts';
import { clientAddress } from '../protocols/http.ts';

/** Told of each request when it comes; what it gives is called when the answer is over. */
export type Onlooker = (exchange: Exchange) => () => void;

const REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/;
const PROCESS = randomBytes(6).toString('hex');
let counter = 0;

const EXCHANGE = Symbol('exchange');

/** A response that knows its exchange. */
interface Watched extends ServerResponse {
  [EXCHANGE]?: Exchange;
}

/** One request and its answer, as limits, log, metrics and events see them. */
export class Exchange implements Incoming, RequestNotes {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  /** The client's own `X-Request-Id` where it is sane. */
  readonly requestId: string;
  repository?: string;
  user?: string | undefined;
  bodyLength?: number;
  readonly #started = performance.now();
  readonly #writtenBefore: number;
  readonly #ends: (() => void)[] = [];

  constructor(req: IncomingMessage, res: ServerResponse, onlookers: readonly Onlooker[]) {
    this.req = req;
    this.res = res;
    const asked = req.headers['x-request-id'];
    this.requestId = typeof asked === 'string' && REQUEST_ID.test(asked) ? asked : nextId();
    this.#writtenBefore = req.socket.bytesWritten;
    const watched: Watched = res;
    watched[EXCHANGE] = this;
    for (const onlooker of onlookers) this.#ends.push(onlooker(this));
    res.once('close', end);
  }

  /** The exchange that this response belongs to. */
  static of(res: ServerResponse): Exchange | undefined {
    const watched: Watched = res;
    return watched[EXCHANGE];
  }

  get state(): this {
    return this;
  }

  get method(): string {
    return this.req.method ?? '';
  }

  /** Address of the client, as far as trusted proxies tell it. */
  get ip(): string {
    return clientAddress(this.req);
  }

  /** Milliseconds since the headers of the request were read. */
  get elapsed(): number {
    return performance.now() - this.#started;
  }

  /** Whether the client went away before the answer was complete; meant for when it is over. */
  get aborted(): boolean {
    return !this.res.writableFinished;
  }

  /** Bytes of the answer's body that were sent: exact where it is complete, else what left on the socket. */
  get sentBytes(): number {
    const { req, res } = this;
    if (req.method === 'HEAD' || res.statusCode === 204 || res.statusCode === 304) return 0;
    const length = this.bodyLength ?? Number(res.getHeader('content-length') ?? Number.NaN);
    if (res.writableFinished && Number.isInteger(length)) return length;
    const moved = req.socket.bytesWritten - this.#writtenBefore;
    return Math.max(0, Number.isInteger(length) ? Math.min(moved, length) : moved);
  }

  over(): void {
    for (const each of this.#ends) each();
  }
}

function end(this: Watched): void {
  this[EXCHANGE]?.over();
}

function nextId(): string {
  counter += 1;
  return `${PROCESS}-${counter.toString(36)}`;
}
