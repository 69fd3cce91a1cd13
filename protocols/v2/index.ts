import Router from '@koa/router';
import type { Protocol } from '../protocol.ts';
import type { Registry } from '../registry.ts';
import { baseRoutes, GREETING, greetNewEngines } from './base.ts';
import { blobRoutes } from './blobs.ts';
import { catalogRoutes } from './catalog.ts';
import { direct } from './direct.ts';
import { manifestRoutes } from './manifests.ts';
import { referrerRoutes } from './referrers.ts';
import { renderError } from './render-error.ts';
import { tagRoutes } from './tags.ts';
import { uploadRoutes } from './uploads.ts';

/** The OCI distribution protocol, docker's V2, over this registry. */
export function v2(registry: Registry): Protocol {
  const router = new Router({ sensitive: true, strict: true });
  baseRoutes(router, registry);
  catalogRoutes(router, registry);
  manifestRoutes(router, registry);
  uploadRoutes(router, registry);
  blobRoutes(router, registry);
  tagRoutes(router, registry);
  referrerRoutes(router, registry);
  const greet = registry.v2?.hideFromOldEngines === false ? () => GREETING : greetNewEngines;
  return { prefix: '/v2', router, cleanPaths: true, greet, direct: direct(registry), renderError };
}
