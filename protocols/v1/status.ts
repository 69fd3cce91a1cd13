import type Router from '@koa/router';
import type { Context } from 'koa';
import { PathNotFoundError } from '../../storage/errors.ts';
import type { Registry } from '../registry.ts';
import { sendJson } from './json.ts';

/** Longer than any healthy storage takes to look at one path, in milliseconds. */
const PATIENCE_MS = 5_000;

/** `GET /v1/_status` and `/_status` in the form of docker-registry 0.8 (without its host), and `/robots.txt`. */
export function statusRoutes(router: Router, registry: Registry): void {
  const status = async (ctx: Context) => {
    const failure = await storageFailure(registry);
    if (failure) registry.log.error('storage is not available', { error: failure });
    const failures = failure ? { storage: 'storage is not available' } : {};
    sendJson(ctx, failure ? 503 : 200, { failures, services: ['storage'] });
  };
  router.get('/v1/_status', status);
  router.get('/_status', status);
  router.get('/robots.txt', (ctx) => {
    ctx.set('Content-Type', 'text/plain');
    ctx.body = Buffer.from('User-agent: *\nDisallow: /\n');
  });
}

async function storageFailure({ content }: Registry): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${PATIENCE_MS} ms`)), PATIENCE_MS);
  });
  try {
    await Promise.race([content.driver.stat('/docker'), late]);
    return undefined;
  } catch (error) {
    return error instanceof PathNotFoundError ? undefined : String(error);
  } finally {
    clearTimeout(timer);
  }
}
