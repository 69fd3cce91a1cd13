import Router from '@koa/router';
import type { Protocol } from '../protocol.ts';
import type { Registry } from '../registry.ts';
import { direct } from './direct.ts';
import { imageFileRoutes } from './image-files.ts';
import { imagePushRoutes } from './image-pushes.ts';
import { imageRoutes } from './images.ts';
import { lingerBehind } from './lingering.ts';
import { greeting, pingRoutes } from './ping.ts';
import { renderError } from './render-error.ts';
import { indexRoutes, repositoryRoutes } from './repositories.ts';
import { searchRoutes } from './search.ts';
import { statusRoutes } from './status.ts';
import { tagRoutes } from './tags.ts';
import { userRoutes } from './users.ts';

/** docker-registry's protocol, V1, over this registry. Every path may end in a slash (v1.md B21). */
export function v1(registry: Registry): Protocol {
  const router = new Router({ sensitive: true, strict: false });
  router.use(async (ctx, next) => {
    await next();
    lingerBehind(ctx);
  });
  imageRoutes(router, registry);
  imagePushRoutes(router, registry);
  imageFileRoutes(router, registry);
  pingRoutes(router, registry);
  statusRoutes(router, registry);
  if (registry.v1.search !== false) searchRoutes(router, registry);
  if (registry.v1.standalone) {
    userRoutes(router, registry);
    indexRoutes(router, registry);
  }
  tagRoutes(router, registry);
  repositoryRoutes(router, registry);
  const greeted = greeting(registry);
  return {
    prefix: '/v1',
    alsoServes: ['/_ping', '/_status', '/robots.txt', '/'],
    router,
    greet: () => greeted,
    direct: direct(registry),
    renderError,
  };
}
