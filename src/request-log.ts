import type { AccessLog } from './access-log.ts';
import type { Onlooker } from './exchange.ts';

/** Writes the line of each request when its answer is over. */
export function requestLog(log: AccessLog): Onlooker {
  return (exchange) => () => {
    const { req, res, repository, requestId, user } = exchange;
    log.record({
      method: exchange.method,
      path: req.url ?? '',
      httpVersion: req.httpVersion,
      repository,
      status: res.statusCode,
      bytes: exchange.sentBytes,
      ms: Math.round(exchange.elapsed * 100) / 100,
      requestId,
      address: exchange.ip,
      user,
      userAgent: req.headers['user-agent'],
      referer: req.headers.referer,
      aborted: exchange.aborted,
    });
  };
}
