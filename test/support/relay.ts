import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream';
import { type RunningServer, serve } from './app-server.ts';

/** Answers a request in the place of the server behind; false passes it on. */
export type Intercept = (request: IncomingMessage, response: ServerResponse) => boolean;

/** Stands between two servers: notes each request, and may answer some of them itself. */
export class Relay {
  readonly requests: IncomingMessage[] = [];
  intercept: Intercept = () => false;
  readonly #server: RunningServer;

  private constructor(server: RunningServer) {
    this.#server = server;
  }

  static async start(target: () => string): Promise<Relay> {
    let self: Relay | undefined;
    const server = await serve((request, response) => {
      self?.requests.push(request);
      if (self?.intercept(request, response)) return;
      const onward = httpRequest(target() + request.url, {
        method: request.method ?? 'GET',
        headers: request.headers,
        agent: false,
      });
      onward.on('response', (answer) => {
        // Newer versions of Node refuse a pipeline to a client that has gone.
        if (response.destroyed) {
          answer.destroy();
          return;
        }
        response.writeHead(answer.statusCode ?? 500, answer.headers);
        pipeline(answer, response, () => undefined);
      });
      onward.on('error', () => response.destroy());
      request.pipe(onward);
    });
    self = new Relay(server);
    return self;
  }

  get url(): string {
    return this.#server.url;
  }

  /** Paths of the requests so far, such as `/v1/images/…/layer`, and forgets them. */
  take(): string[] {
    return this.requests.splice(0).map((request) => request.url ?? '');
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }
}
