import type { Context } from 'koa';
import { originOf } from './http.ts';
import type { AccessRequest } from './registry.ts';

/** What an access decision may look at, found out only when it does: an open registry looks at nothing. */
export class RequestFacts implements AccessRequest {
  readonly protocol: 'v1' | 'v2';
  readonly #ctx: Context;
  readonly #credentials: (header: string) => string | undefined;

  /** `credentials` says what counts of the Authorization header. */
  constructor(
    ctx: Context,
    protocol: 'v1' | 'v2',
    credentials: (header: string) => string | undefined = (header) => header || undefined,
  ) {
    this.#ctx = ctx;
    this.protocol = protocol;
    this.#credentials = credentials;
  }

  get method(): string {
    return this.#ctx.method;
  }

  get authorization(): string | undefined {
    return this.#credentials(this.#ctx.req.headers.authorization ?? '');
  }

  get address(): string {
    return this.#ctx.ip;
  }

  get origin(): { scheme: string; host: string } {
    return originOf(this.#ctx.req);
  }
}
