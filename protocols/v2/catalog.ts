import type Router from '@koa/router';
import { nextLink, queryValue, sendJson } from '../http.ts';
import type { Registry } from '../registry.ts';
import { pageSize } from './paging.ts';
import { authorize } from './request.ts';

const DEFAULT_PAGE = 100;

/** `GET /v2/_catalog` (v2.md 1.6): repositories that the session may pull, ordered by component. */
export function catalogRoutes(router: Router, registry: Registry): void {
  router.get('/v2/_catalog', async (ctx) => {
    const session = await authorize(ctx, registry, [{ type: 'catalog' }]);
    const count = pageSize(ctx, registry.limits.catalogPage, 'refuse') ?? DEFAULT_PAGE;
    const last = queryValue(ctx, 'last');
    const page = await registry.content.catalog.page(last, count, (name) =>
      session.may({ type: 'repository', name, action: 'pull' }),
    );
    const end = page.items.at(-1);
    if (page.more && end !== undefined) {
      ctx.set(
        'Link',
        nextLink(registry.urls, '/v2/_catalog', [
          ['last', end],
          ['n', String(count)],
        ]),
      );
    }
    sendJson(ctx, 200, { repositories: page.items });
  });
}
