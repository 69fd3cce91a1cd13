import type Router from '@koa/router';
import { parseDigest } from '../../storage/digest.ts';
import { firstAfter } from '../../storage/listings.ts';
import { OCI_INDEX } from '../../storage/media-types.ts';
import { nextLink, queryValue, sendJson } from '../http.ts';
import type { Registry } from '../registry.ts';
import { pageSize } from './paging.ts';
import { enter } from './request.ts';

/** `GET /v2/<name>/referrers/<digest>` (end-12): an index of all that name the digest as their subject. */
export function referrerRoutes(router: Router, registry: Registry): void {
  router.get('/v2/*name/referrers/:digest', async (ctx) => {
    const { repository } = await enter(ctx, registry, ['pull']);
    const subject = parseDigest(String(ctx.params.digest));
    const artifactType = queryValue(ctx, 'artifactType');
    const all = await repository.referrers.list(subject, artifactType);
    const count = pageSize(ctx, registry.limits.tagsPage, 'clamp') ?? all.length;
    const last = queryValue(ctx, 'last');
    const digests = all.map((descriptor) => descriptor.digest);
    const start = last === undefined ? 0 : firstAfter(digests, last);
    const manifests = all.slice(start, start + count);
    const end = manifests.at(-1)?.digest;
    if (end && start + count < all.length) {
      const query: [string, string][] = [
        ['last', end],
        ['n', String(count)],
      ];
      if (artifactType) query.push(['artifactType', artifactType]);
      ctx.set(
        'Link',
        nextLink(registry.urls, `/v2/${repository.name}/referrers/${subject}`, query),
      );
    }
    if (artifactType) ctx.set('OCI-Filters-Applied', 'artifactType');
    sendJson(ctx, 200, { schemaVersion: 2, mediaType: OCI_INDEX, manifests }, OCI_INDEX);
  });
}
