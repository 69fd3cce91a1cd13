import type Router from '@koa/router';
import { type Answer, answerWith, type Incoming, respond } from '../answer.ts';
import { jsonBytes, queryValue } from '../http.ts';
import type { Registry } from '../registry.ts';
import { nextPage, pageSize } from './paging.ts';
import { authorize } from './request.ts';

const DEFAULT_PAGE = 100;

export function catalogRoutes(router: Router, registry: Registry): void {
  router.get('/v2/_catalog', async (ctx) => respond(ctx, await pullCatalog(ctx, registry)));
}

/** `GET /v2/_catalog` (v2.md 1.6): repositories that the session may pull, ordered by component. */
export async function pullCatalog(incoming: Incoming, registry: Registry): Promise<Answer> {
  const session = await authorize(incoming, registry, [{ type: 'catalog' }]);
  const count = pageSize(incoming, registry.limits.catalogPage, 'refuse') ?? DEFAULT_PAGE;
  const last = queryValue(incoming, 'last');
  const { items, more } = await registry.content.catalog.page(last, count, (name) =>
    session.may({ type: 'repository', name, action: 'pull' }),
  );
  const headers = ['Content-Type', 'application/json'];
  const end = items.at(-1);
  if (more && end !== undefined) {
    headers.push('Link', nextPage(registry.urls, '/v2/_catalog', end, count));
  }
  return answerWith(200, headers, jsonBytes({ repositories: items }));
}
