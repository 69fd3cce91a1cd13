import type { IncomingMessage, ServerResponse } from 'node:http';

/** What a guard may look at. A Koa context is one. */
export interface GuardedRequest {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly method: string;
  /** Address of the client, as far as trusted proxies tell it. */
  readonly ip: string;
}

/**
 * Stands before every request to a protocol and may refuse it by throwing a RegistryError, which the protocol renders
 * in its own form.
 */
export type Guard = (request: GuardedRequest) => void | Promise<void>;
