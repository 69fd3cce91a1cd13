import { connect, type Socket } from 'node:net';
import { ResponseReader } from './response-reader.ts';

const READ_BYTES = 256 * 1024;

/** Called once a response is whole, or can't become so. */
export type Done = (error?: Error) => void;

export interface SendOptions {
  /** The request was a HEAD: no body follows. */
  head?: boolean;
  /** Gets the body as it comes; without it, bytes are only counted. Not to be kept: the buffer is used again. */
  collect?: ((bytes: Buffer) => void) | undefined;
}

/**
 * One connection with one request in flight: requests are bytes made before, responses are parsed in place out of one
 * buffer. So the load generator costs little beside the server that it measures.
 */
export class Connection {
  readonly response = new ResponseReader();
  readonly #host: string;
  readonly #port: number;
  readonly #buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  #socket: Socket | undefined;
  #request: readonly Buffer[] = [];
  #done: Done | undefined;
  #answered = 0;
  #retried = false;

  constructor(host: string, port: number) {
    this.#host = host;
    this.#port = port;
  }

  get open(): boolean {
    return this.#socket !== undefined;
  }

  send(request: Buffer | readonly Buffer[], options: SendOptions, done: Done): void {
    this.#request = Buffer.isBuffer(request) ? [request] : request;
    this.#done = done;
    this.#retried = false;
    this.response.expect(options.head === true, options.collect);
    if (this.#socket) this.#transmit(this.#socket);
    else this.#connect();
  }

  close(): void {
    this.#done = undefined;
    this.#drop();
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroy();
  }

  #connect(): void {
    const onread = {
      buffer: this.#buffer,
      callback: (length: number) => {
        this.#onData(socket, length);
        return true;
      },
    };
    const socket = connect({ host: this.#host, port: this.#port, noDelay: true, onread });
    this.#socket = socket;
    this.#answered = 0;
    socket.on('error', (error) => this.#gone(socket, error));
    socket.on('close', () => this.#gone(socket));
    socket.on('end', () => this.#gone(socket));
    socket.once('connect', () => this.#transmit(socket));
  }

  #transmit(socket: Socket): void {
    socket.cork();
    for (const part of this.#request) socket.write(part);
    socket.uncork();
  }

  #onData(socket: Socket, length: number): void {
    if (socket !== this.#socket) return;
    if (this.#done === undefined || !this.response.read(this.#buffer, length)) return;
    this.#answered += 1;
    if (this.response.closes) this.#drop();
    this.#finish();
  }

  #gone(socket: Socket, error?: Error): void {
    if (socket !== this.#socket) return;
    this.#drop();
    if (this.#done === undefined) return;
    if (this.response.endsWithConnection) {
      this.#finish();
      return;
    }
    // A kept-alive connection may be closed just as the next request goes out: that is tried once more.
    if (this.response.untouched && this.#answered > 0 && !this.#retried) {
      this.#retried = true;
      this.#connect();
      return;
    }
    this.#finish(error ?? new Error('the connection was closed before the response was complete'));
  }

  #finish(error?: Error): void {
    const done = this.#done;
    this.#done = undefined;
    done?.(error);
  }
}
