import type Router from '@koa/router';
import type { Tag } from '../../storage/names.ts';
import type { Repository } from '../../storage/repository.ts';
import type { Page } from '../../storage/tags.ts';
import { answerWith } from '../answer.ts';
import { jsonBytes, queryValue } from '../http.ts';
import { type Registry, registryError } from '../registry.ts';
import { nextPage, pageSize } from './paging.ts';
import { onRepository, routeTo } from './request.ts';

export function tagRoutes(router: Router, registry: Registry): void {
  router.get('/v2/*name/tags/list', routeTo(registry, pullTags));
}

/** `GET /v2/<name>/tags/list` (end-8): sorted, all of them unless `?n=` says otherwise. */
export const pullTags = onRepository(['pull'], async ({ incoming, registry, repository }) => {
  const count = pageSize(incoming, registry.limits.tagsPage, 'clamp');
  const last = queryValue(incoming, 'last');
  const { items, more } = await pageOf(
    registry,
    repository,
    last,
    count ?? Number.POSITIVE_INFINITY,
  );
  const isKnown = items.length > 0 || (await repository.exists());
  if (!isKnown && !(await repository.v1.hasHiddenTags())) {
    throw registryError('NAME_UNKNOWN', 'repository name not known to registry', {
      detail: { name: repository.name },
    });
  }
  const headers = ['Content-Type', 'application/json'];
  const end = items.at(-1);
  if (more && end !== undefined) {
    const path = `/v2/${repository.name}/tags/list`;
    headers.push('Link', nextPage(registry.urls, path, end, count));
  }
  return answerWith(200, headers, jsonBytes({ name: repository.name, tags: items }));
});

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
