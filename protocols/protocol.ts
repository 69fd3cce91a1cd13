import type { IncomingMessage } from 'node:http';
import type Router from '@koa/router';
import type { RegistryError } from '../storage/errors.ts';
import type { Answer, Incoming } from './answer.ts';

/** Decides the answer to one request. Fails with a RegistryError. */
export type Handler = (incoming: Incoming) => Promise<Answer>;

/** One protocol: the paths it owns, its routes, and the form of its errors. `mount` in src/app.ts wires it in. */
export interface Protocol {
  /** `/v1` or `/v2`: everything below belongs to this protocol. */
  readonly prefix: string;
  /** Paths outside the prefix that belong to this protocol too, exactly as written. */
  readonly alsoServes?: readonly string[];
  readonly router: Router;
  /** Whether `//`, `.`, `..` and escaped slashes in a path lead to the place that they mean. */
  readonly cleanPaths?: boolean;
  /**
   * Headers of every answer, names and values in turn, also for requests that no route takes; may refuse by throwing.
   */
  greet?(request: IncomingMessage): readonly string[];
  /**
   * The requests that pulls and pushes are made of, which are nearly all: decided without the router, and where nothing
   * else has to look at them, without Koa.
   */
  direct?(method: string, path: string): Handler | undefined;
  /** An error in the protocol's own form, with its own status. */
  renderError(request: IncomingMessage, error: RegistryError): Answer;
}
