import type { Middleware } from 'koa';
import { RefusalError } from '../protocols/registry.ts';
import type { Guard } from './guard.ts';
import type { Health } from './health.ts';

/** While a check fails, every registry request is answered 503 UNAVAILABLE (v2.md 5.6). */
export function refuseWhenIll(health: Health): Guard {
  return () => {
    if (!health.ill) return;
    throw new RefusalError(
      'UNAVAILABLE',
      'service unavailable',
      { 'Retry-After': '10' },
      'health check failed: please see /debug/health',
    );
  };
}

/** `/livez`: this process answers. `/readyz`: traffic may come. Without access control, and without secrets. */
export function healthEndpoints(health: Health): Middleware {
  return async (ctx, next) => {
    if (ctx.path !== '/livez' && ctx.path !== '/readyz') return next();
    if (ctx.method !== 'GET' && ctx.method !== 'HEAD') {
      ctx.status = 405;
      ctx.set('Allow', 'GET, HEAD');
      return;
    }
    const failing = ctx.path === '/livez' ? {} : await health.readiness();
    ctx.status = Object.keys(failing).length === 0 ? 200 : 503;
    ctx.set('Cache-Control', 'no-store');
    ctx.body = ctx.status === 200 ? 'ok\n' : failing;
  };
}
