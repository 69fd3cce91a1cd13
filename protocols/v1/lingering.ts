import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import type { Context } from 'koa';
import type { BodySource } from '../answer.ts';

/** As much of a refused body as is still taken, in bytes: a few seconds of an engine's layer. */
const MAX_BYTES = 64 * 1024 * 1024;
const MAX_MS = 30_000;

/**
 * Engines send `Connection: close`, and closing while they still write resets the connection: they then report a
 * broken pipe in place of our answer. So an answer to a body that was not read goes out at once, and the connection
 * stays open while the rest arrives and is thrown away, within limits.
 */
export function lingerBehind(ctx: Context): void {
  const answer: unknown = ctx.body;
  if (!(answer instanceof Buffer) || !hasUnreadBody(ctx.req)) return;
  ctx.body = Readable.from(answerFirst(ctx.req, answer), { objectMode: false });
  ctx.length = answer.length;
}

async function* answerFirst(request: IncomingMessage, answer: Buffer): AsyncGenerator<Buffer> {
  yield answer;
  await drain(request);
}

/** The same for an answer that Koa does not send. */
export function lingering(request: IncomingMessage, answer: Buffer): BodySource {
  return async (out, begin) => {
    begin();
    out.write(answer);
    await drain(request);
    out.end();
  };
}

export function hasUnreadBody(request: IncomingMessage): boolean {
  const { headers } = request;
  const declared = headers['transfer-encoding'] !== undefined || Number(headers['content-length']);
  return Boolean(declared) && !request.complete && !request.destroyed;
}

function drain(request: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    let left = MAX_BYTES;
    const giveUp = () => request.destroy();
    const timer = setTimeout(giveUp, MAX_MS);
    request.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    request.once('end', () => {
      clearTimeout(timer);
      resolve();
    });
    request.on('error', () => {});
    request.on('data', (chunk: Buffer) => {
      left -= chunk.length;
      if (left < 0) giveUp();
    });
    request.resume();
  });
}
