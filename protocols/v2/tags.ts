import type Router from '@koa/router';
import type { Tag } from '../../storage/names.ts';
import type { Repository } from '../../storage/repository.ts';
import type { Page } from '../../storage/tags.ts';
import { nextLink, queryValue, sendJson } from '../http.ts';
import { type Registry, registryError } from '../registry.ts';
import { pageSize } from './paging.ts';
import { enter } from './request.ts';

/** `GET /v2/<name>/tags/list` (end-8): sorted, all of them unless `?n=` says otherwise. */
export function tagRoutes(router: Router, registry: Registry): void {
  router.get('/v2/*name/tags/list', async (ctx) => {
    const { repository } = await enter(ctx, registry, ['pull']);
    const count = pageSize(ctx, registry.limits.tagsPage, 'clamp');
    const { items, more } = await pageOf(
      registry,
      repository,
      queryValue(ctx, 'last'),
      count ?? Number.POSITIVE_INFINITY,
    );
    const isKnown = items.length > 0 || (await repository.exists());
    if (!isKnown && !(await repository.v1.hasHiddenTags())) {
      throw registryError('NAME_UNKNOWN', 'repository name not known to registry', {
        detail: { name: repository.name },
      });
    }
    const end = items.at(-1);
    if (more && end !== undefined) {
      const path = `/v2/${repository.name}/tags/list`;
      ctx.set(
        'Link',
        nextLink(registry.urls, path, [
          ['last', end],
          ['n', String(count)],
        ]),
      );
    }
    sendJson(ctx, 200, { name: repository.name, tags: items });
  });
}

/** With the tags that a mirror's upstream has. */
async function pageOf(
  { v1: { mirror } }: Registry,
  { name, tags }: Repository,
  last: string | undefined,
  count: number,
): Promise<Page<Tag>> {
  const elsewhere = mirror ? await mirror.tags(name) : [];
  if (elsewhere.length === 0) return tags.page(last, count);
  const all = [...new Set([...elsewhere, ...(await tags.all())])].sort();
  const after = all.filter((tag) => last === undefined || tag > last);
  return { items: after.slice(0, count), more: after.length > count };
}
