import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ReceivedEvent {
  id: string;
  timestamp: string;
  action: string;
  target: Record<string, unknown>;
  request: Record<string, unknown>;
  actor: Record<string, unknown>;
  source: Record<string, unknown>;
}

/** What an endpoint does with a request: a status to answer, or never an answer. */
export type Reaction = number | 'hang';

/** An endpoint for notifications on a real socket, whose answers a test decides. */
export class WebhookReceiver {
  readonly requests: { headers: IncomingHttpHeaders; events: ReceivedEvent[] }[] = [];
  /** Events that were answered with success, in order. */
  readonly taken: ReceivedEvent[] = [];
  /** Decides the answer, by the event. */
  react: (event: ReceivedEvent) => Reaction = () => 200;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { events } = JSON.parse(Buffer.concat(chunks).toString()) as {
          events: ReceivedEvent[];
        };
        this.requests.push({ headers: request.headers, events });
        const [first] = events;
        const reaction = first === undefined ? 500 : this.react(first);
        if (reaction === 'hang') return;
        if (reaction < 400) this.taken.push(...events);
        response.writeHead(reaction).end();
      });
    });
  }

  static async start(): Promise<WebhookReceiver> {
    const receiver = new WebhookReceiver();
    await new Promise<void>((resolve) => receiver.#server.listen(0, '127.0.0.1', resolve));
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/events`;
  }

  /** `tag` of every event that was taken. */
  get tags(): unknown[] {
    return this.taken.map(({ target }) => target.tag);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
