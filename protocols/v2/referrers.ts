import type Router from '@koa/router';
import { parseDigest } from '../../storage/digest.ts';
import { firstAfter } from '../../storage/listings.ts';
import type { Descriptor } from '../../storage/manifest.ts';
import { OCI_INDEX } from '../../storage/media-types.ts';
import { nextLink, queryValue, sendJson } from '../http.ts';
import type { Registry } from '../registry.ts';
import { pageSize } from './paging.ts';
import { enter } from './request.ts';

/** Clients read no more than 4 MiB of an index; a page stays below that, whatever annotations it carries. */
const PAGE_BYTES = 3 << 20;

/** `GET /v2/<name>/referrers/<digest>` (end-12): an index of all that name the digest as their subject. */
export function referrerRoutes(router: Router, registry: Registry): void {
  router.get('/v2/*name/referrers/:digest', async (ctx) => {
    const { repository } = await enter(ctx, registry, ['pull']);
    const subject = parseDigest(String(ctx.params.digest));
    const artifactType = queryValue(ctx, 'artifactType');
    const max = registry.limits.tagsPage;
    const count = pageSize(ctx, max, 'clamp') ?? max;
    const all = await repository.referrers.list(subject, artifactType);
    const manifests = pageOf(all, queryValue(ctx, 'last'), count);
    const end = manifests.at(-1)?.digest;
    if (end && end !== all.at(-1)?.digest) {
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

/** At most `count` descriptors after the digest `last`; fewer where they are large, but at least one. */
function pageOf(all: Descriptor[], last: string | undefined, count: number): Descriptor[] {
  const digests = all.map((descriptor) => descriptor.digest);
  const start = last === undefined ? 0 : firstAfter(digests, last);
  const page: Descriptor[] = [];
  let bytes = 0;
  for (const descriptor of all.slice(start, start + count)) {
    bytes += JSON.stringify(descriptor).length;
    if (page.length > 0 && bytes > PAGE_BYTES) break;
    page.push(descriptor);
  }
  return page;
}
