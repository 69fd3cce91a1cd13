import type { IncomingMessage } from 'node:http';
import type Router from '@koa/router';
import type { Context } from 'koa';
import { sendEmpty, sendJson } from '../http.ts';
import { type Registry, registryError } from '../registry.ts';
import { authorize } from './request.ts';

/** Old engines tell V2 from V1 by this header on the answer to `GET /v2/`, whatever its status (v2.md 1.1). */
export const GREETING: readonly string[] = ['Docker-Distribution-Api-Version', 'registry/2.0'];

/**
 * Engines up to 1.5 speak only a draft of V2, in which every push fails, and take a server for V1 only when
 * `/v2/` is not there. Their ping goes out under Go's default agent, `Go 1.1 package http` (v1-clients.md).
 */
const BEFORE_V2 = /^(docker\/(0\.|1\.[0-5]([.\-+]|$|\s))|Go 1\.1 package http)/;

/** Hides V2 from engines that must not see it, and marks every other answer as V2. Throws NOT_FOUND. */
export function greetNewEngines({ headers }: IncomingMessage): readonly string[] {
  const agent = headers['user-agent'];
  if (agent !== undefined && BEFORE_V2.test(agent)) {
    throw registryError('NOT_FOUND', 'V2 is not offered to docker before 1.6; use /v1/');
  }
  return GREETING;
}

export function baseRoutes(router: Router, registry: Registry): void {
  const ping = async (ctx: Context) => {
    await authorize(ctx, registry, []);
    ctx.status = 200;
    ctx.set('Content-Type', 'application/json');
    ctx.body = Buffer.from('{}');
  };
  router.all('/v2/', ping);
  router.all('/v2', (ctx) => {
    ctx.set('Location', `${registry.urls.prefix}/v2/`);
    sendEmpty(ctx, 301);
  });
  router.get('/v2/_oci/ext/discover', async (ctx) => {
    await authorize(ctx, registry, []);
    sendJson(ctx, 200, { extensions: [] });
  });
}
