import type { IncomingMessage } from 'node:http';
import type { Incoming } from './answer.ts';
import { clientAddress, originOf } from './http.ts';
import type { Access, AccessRequest, Registry, Session } from './registry.ts';

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

/** The session of a request that shows these facts and wants all of this. Throws UNAUTHORIZED or DENIED. */
export function openSession(
  { state }: Incoming,
  { access }: Registry,
  facts: RequestFacts,
  wanted: readonly Access[],
): Session | Promise<Session> {
  const note = (session: Session): Session => {
    state.user = session.user;
    return session;
  };
  const deciding = access.authorize(facts, wanted);
  return deciding instanceof Promise ? deciding.then(note) : note(deciding);
}
