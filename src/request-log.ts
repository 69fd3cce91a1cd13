import { randomBytes } from 'node:crypto';
import type { Context, Middleware } from 'koa';
import type { AccessLog } from './access-log.ts';

const REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/;
const PROCESS = randomBytes(6).toString('hex');
let counter = 0;

/**
 * Gives each request an ID (`state.requestId`, the client's own `X-Request-Id` where it is sane) and writes its line
 * when the answer is over. Handlers may set `state.repository` and `state.user` for the line.
 */
export function requestLog(log: AccessLog): Middleware {
  return (context, next) => {
    const started = performance.now();
    const { socket } = context.req;
    const sentBefore = socket.bytesWritten;
    const asked = context.get('X-Request-Id');
    context.state.requestId = REQUEST_ID.test(asked) ? asked : nextId();
    context.res.once('close', () => {
      log.record({
        method: context.method,
        path: context.originalUrl,
        httpVersion: context.req.httpVersion,
        repository: context.state.repository,
        status: context.status,
        bytes: bodyBytes(context, socket.bytesWritten - sentBefore),
        ms: Math.round((performance.now() - started) * 100) / 100,
        requestId: context.state.requestId,
        address: context.ip,
        user: context.state.user,
        userAgent: context.req.headers['user-agent'],
        referer: context.req.headers.referer,
        aborted: !context.res.writableFinished,
      });
    });
    return next();
  };
}

function nextId(): string {
  counter += 1;
  return `${PROCESS}-${counter.toString(36)}`;
}

/** What went out on the socket without the headers; exact where the answer is complete and has a length. */
function bodyBytes(context: Context, written: number): number {
  const { res, method } = context;
  if (method === 'HEAD' || res.statusCode === 204 || res.statusCode === 304) return 0;
  const length = Number(res.getHeader('content-length'));
  if (res.writableFinished && Number.isInteger(length)) return length;
  return Math.max(0, Number.isInteger(length) ? Math.min(written, length) : written);
}
