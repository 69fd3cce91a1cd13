import type { IncomingMessage } from 'node:http';
import { clientAddress, originOf } from './http.ts';
import type { AccessRequest } from './registry.ts';

/** What an access decision may look at, found out only when it does: an open registry looks at nothing. */
export class RequestFacts implements AccessRequest {
  readonly protocol: 'v1' | 'v2';
  readonly #request: IncomingMessage;
  readonly #credentials: (header: string) => string | undefined;

  /** `credentials` says what counts of the Authorization header. */
  constructor(
    request: IncomingMessage,
    protocol: 'v1' | 'v2',
    credentials: (header: string) => string | undefined = (header) => header || undefined,
  ) {
    this.#request = request;
    this.protocol = protocol;
    this.#credentials = credentials;
  }

  get method(): string {
    return this.#request.method ?? '';
  }

  get authorization(): string | undefined {
    return this.#credentials(this.#request.headers.authorization ?? '');
  }

  get address(): string {
    return clientAddress(this.#request);
  }

  get origin(): { scheme: string; host: string } {
    return originOf(this.#request);
  }
}
