import type { Context, Middleware } from 'koa';
import { registryError } from '../registry.ts';

export type JsonReader = (ctx: Context, invalid: string) => Promise<unknown>;

/**
 * Reads JSON bodies of at most `limit` bytes. Call it once the session is known: a body is read for those only who
 * may send it. Throws REQUEST_INVALID with the message `invalid` for what is not JSON, TOO_LARGE above the limit.
 */
export function jsonReader(limit: number): JsonReader {
  let parser: Promise<Middleware> | undefined;
  return async (ctx, invalid) => {
    readAsJson(ctx);
    parser ??= loadParser(limit);
    const parse = await parser;
    try {
      await parse(ctx, async () => {});
    } catch (error) {
      throw refusal(error as Error & { type?: string }, limit, invalid);
    }
    const body: unknown = ctx.request.body;
    // What koa-body gives for an empty body, and leaves where there was none at all.
    if (body === undefined || body === '') throw registryError('REQUEST_INVALID', invalid);
    return body;
  };
}

/** koa-body brings much along; a registry that sees no V1 push never loads it. */
async function loadParser(limit: number): Promise<Middleware> {
  const { koaBody } = await import('koa-body');
  return koaBody({
    jsonLimit: limit,
    jsonStrict: false,
    text: false,
    urlencoded: false,
    onError: (error) => {
      throw error;
    },
  }) as Middleware;
}

/** Clients say form, text or nothing at all, and mean JSON; bodies were never decompressed (v1.md 1.1). */
function readAsJson(ctx: Context): void {
  ctx.req.headers['content-type'] = 'application/json';
  delete ctx.req.headers['content-encoding'];
}

function refusal(error: Error & { type?: string }, limit: number, invalid: string) {
  if (error.type === 'entity.too.large') {
    return registryError('TOO_LARGE', `the body is larger than the ${limit} bytes allowed here`);
  }
  if (error.type === 'request.aborted' || error.type === 'request.size.invalid') {
    return registryError('REQUEST_INVALID', 'the request ended before its body was complete');
  }
  return registryError('REQUEST_INVALID', invalid, { cause: error });
}
