import type Router from '@koa/router';
import type { Context } from 'koa';
import { compareNames, type RepositoryName } from '../../storage/names.ts';
import { queryValue } from '../http.ts';
import { type Registry, registryError } from '../registry.ts';
import { sendJson } from './json.ts';
import { authorize } from './session.ts';

/**
 * `GET /v1/search?q=TERM` (v1.md 1.8), which `docker search` calls to this day: every tagged repository, whichever
 * protocol it came by, that the session may pull. The names come from the catalog's walk, so a push pays nothing.
 */
export function searchRoutes(router: Router, registry: Registry): void {
  router.get('/v1/search', async (ctx) => {
    const session = await authorize(ctx, registry, [{ type: 'catalog' }]);
    const term = queryValue(ctx, 'q') ?? '';
    const paging = pagingOf(ctx, registry.limits.catalogPage);
    const found = (await searched(registry, term)).filter(({ name }) =>
      session.may({ type: 'repository', name, action: 'pull' }),
    );
    sendJson(ctx, 200, {
      query: term,
      num_results: found.length,
      ...(paging && {
        page: paging.page,
        page_size: paging.size,
        num_pages: Math.ceil(found.length / paging.size),
      }),
      results: pageOf(found, paging),
    });
  });
}

interface Found {
  name: string;
  description: string;
}

/** What is stored here and what a mirror's upstream finds; of a name in both, upstream knows the description. */
async function searched({ content, v1 }: Registry, term: string): Promise<Found[]> {
  const [names, elsewhere] = await Promise.all([
    content.catalog.ofBothProtocols(),
    v1.mirror?.search(term) ?? [],
  ]);
  const own = names
    .filter((name) => matches(name, term))
    .map((name): [string, Found] => [name, { name, description: '' }]);
  if (elsewhere.length === 0) return own.map(([, found]) => found);
  const all = new Map([...own, ...elsewhere.map((each): [string, Found] => [each.name, each])]);
  return [...all.values()].sort((a, b) => compareNames(a.name, b.name));
}

/** A plain part of the name: `%` and `_` mean themselves. The long form finds what it stands for. */
function matches(name: RepositoryName, term: string): boolean {
  const wanted = term.trim().toLowerCase();
  if (name.includes(wanted)) return true;
  return !name.includes('/') && `library/${name}`.startsWith(wanted) && wanted.includes('/');
}

interface Paging {
  size: number;
  /** From 1. */
  page: number;
}

/** `n` results a page, the first page unless `page` says otherwise; all of them where neither is given. */
function pagingOf(ctx: Context, most: number): Paging | undefined {
  const size = positive(ctx, 'n');
  const page = positive(ctx, 'page');
  if (size === undefined && page === undefined) return undefined;
  return { size: Math.min(size ?? 25, most), page: page ?? 1 };
}

function positive(ctx: Context, parameter: string): number | undefined {
  const text = queryValue(ctx, parameter);
  if (text === undefined || text === '') return undefined;
  if (/^0*[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw registryError('PAGINATION_NUMBER_INVALID', `${parameter} must be a number from 1 on`);
}

function pageOf(found: Found[], paging: Paging | undefined): Found[] {
  if (!paging) return found;
  const start = (paging.page - 1) * paging.size;
  return found.slice(start, start + paging.size);
}
