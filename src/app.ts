import Koa from 'koa';
import type { Registry } from '../protocols/registry.ts';
import type { AccessLog } from './access-log.ts';
import { requestLog } from './request-log.ts';

/** The application: which protocols are mounted where. Only connects. */
export function createApp(registry: Registry, accessLog: AccessLog): Koa {
  const app = new Koa({ proxy: true });
  app.use(requestLog(accessLog));
  app.on('error', (error) => registry.log.error('request failed', { error }));
  return app;
}
