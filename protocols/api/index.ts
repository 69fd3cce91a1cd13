import Router from '@koa/router';
import type { Protocol } from '../protocol.ts';
import type { Registry } from '../registry.ts';
import { renderError } from './render-error.ts';

/** Images as whole archives, for hosts that have curl and no docker. */
export function imagesApi(registry: Registry): Protocol {
  const router = new Router({ sensitive: true, strict: true });
  // Loaded when the first archive is asked for: most registries never see one.
  const path = '/api/images/*name/:file';
  router.get(path, async (ctx) => (await import('./archives.ts')).getArchive(ctx, registry));
  router.put(path, async (ctx) => (await import('./archives.ts')).putArchive(ctx, registry));
  return { prefix: '/api/images', router, renderError };
}
