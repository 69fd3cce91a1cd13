import Router from '@koa/router';
import type { Protocol } from '../protocol.ts';
import type { Registry } from '../registry.ts';
import { archiveRoutes } from './archives.ts';
import { renderError } from './render-error.ts';

/** Images as whole archives, for hosts that have curl and no docker. */
export function imagesApi(registry: Registry): Protocol {
  const router = new Router({ sensitive: true, strict: true });
  archiveRoutes(router, registry);
  return { prefix: '/api/images', router, renderError };
}
