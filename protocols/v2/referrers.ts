import type Router from '@koa/router';
import { parseDigest } from '../../storage/digest.ts';
import { firstAfter } from '../../storage/listings.ts';
import type { Descriptor } from '../../storage/manifest.ts';
import { OCI_INDEX } from '../../storage/media-types.ts';
import { answerWith } from '../answer.ts';
import { jsonBytes, nextLink, queryValue } from '../http.ts';
import type { Registry } from '../registry.ts';
import { pageSize } from './paging.ts';
import { onRepository, routeTo } from './request.ts';

/** Clients read no more than 4 MiB of an index; a page stays below that, whatever annotations it carries. */
const PAGE_BYTES = 3 << 20;

export function referrerRoutes(router: Router, registry: Registry): void {
  router.get('/v2/*name/referrers/:reference', routeTo(registry, listReferrers));
}

/** `GET /v2/<name>/referrers/<digest>` (end-12): an index of all that name the digest as their subject. */
export const listReferrers = onRepository(['pull'], async (request) => {
  const { incoming, registry, repository } = request;
  const subject = parseDigest(request.reference);
  const artifactType = queryValue(incoming, 'artifactType');
  const max = registry.limits.tagsPage;
  const count = pageSize(incoming, max, 'clamp') ?? max;
  const all = await repository.referrers.list(subject, artifactType);
  const manifests = pageOf(all, queryValue(incoming, 'last'), count);
  const end = manifests.at(-1)?.digest;
  const headers = ['Content-Type', OCI_INDEX];
  if (end && end !== all.at(-1)?.digest) {
    const query: [string, string][] = [
      ['last', end],
      ['n', String(count)],
    ];
    if (artifactType) query.push(['artifactType', artifactType]);
    const path = `/v2/${repository.name}/referrers/${subject}`;
    headers.push('Link', nextLink(registry.urls, path, query));
  }
  if (artifactType) headers.push('OCI-Filters-Applied', 'artifactType');
  return answerWith(200, headers, jsonBytes({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }));
});

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
