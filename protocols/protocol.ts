import type Router from '@koa/router';
import type { Context } from 'koa';
import type { RegistryError } from '../storage/errors.ts';

/** One protocol: the paths it owns, its routes, and the form of its errors. `mount` in src/app.ts wires it in. */
export interface Protocol {
  /** `/v1` or `/v2`: everything below belongs to this protocol. */
  readonly prefix: string;
  /** Paths outside the prefix that belong to this protocol too, exactly as written. */
  readonly alsoServes?: readonly string[];
  readonly router: Router;
  /** Whether `//`, `.`, `..` and escaped slashes in a path lead to the place that they mean. */
  readonly cleanPaths?: boolean;
  /** Runs before every request below the prefix, also those that no route takes; may refuse by throwing. */
  enter?(context: Context): void;
  /** The way past the router for the requests that come most often; same answers, less work. */
  hot?(method: string, path: string): ((context: Context) => Promise<void>) | undefined;
  /** Writes an error in the protocol's own form, with its own status. */
  renderError(context: Context, error: RegistryError): void;
}
