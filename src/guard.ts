import type { Context } from 'koa';

/**
 * Stands before every request to a protocol and may refuse it by throwing a RegistryError, which the protocol renders
 * in its own form.
 */
export type Guard = (context: Context) => void | Promise<void>;
