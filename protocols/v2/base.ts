import type Router from '@koa/router';
import type { Context } from 'koa';
import { sendEmpty, sendJson } from '../http.ts';
import { type Registry, registryError } from '../registry.ts';
import { authorize } from './request.ts';

const VERSION_HEADER = 'Docker-Distribution-Api-Version';

/**
 * Engines up to 1.5 speak only a draft of V2, in which every push fails, and take a server for V1 only when
 * `/v2/` is not there. Their ping goes out under Go's default agent, `Go 1.1 package http` (v1-clients.md).
 */
const BEFORE_V2 = /^(docker\/(0\.|1\.[0-5]([.\-+]|$|\s))|Go 1\.1 package http)/;

/** Hides V2 from engines that must not see it, and marks every other answer as V2. */
export function frontDoor(ctx: Context): void {
  if (BEFORE_V2.test(ctx.get('user-agent'))) {
    throw registryError('NOT_FOUND', 'V2 is not offered to docker before 1.6; use /v1/');
  }
  markAsV2(ctx);
}

/** Old engines tell V2 from V1 by this header on the answer to `GET /v2/`, whatever its status (v2.md 1.1). */
export function markAsV2(ctx: Context): void {
  ctx.set(VERSION_HEADER, 'registry/2.0');
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
