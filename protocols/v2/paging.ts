import type { Incoming } from '../answer.ts';
import { nextLink, queryValue } from '../http.ts';
import { registryError, type UrlPolicy } from '../registry.ts';

/**
 * The page size that `?n=` asks for; undefined when it asks for none. More than `max` is refused (catalog) or cut
 * back (tags), as distribution does. Throws PAGINATION_NUMBER_INVALID.
 */
export function pageSize(
  incoming: Incoming,
  max: number,
  above: 'refuse' | 'clamp',
): number | undefined {
  const text = queryValue(incoming, 'n');
  if (text === undefined || text === '') return undefined;
  const count = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(count)) throw invalid(text, 'n must be a number, 0 or more');
  if (count <= max) return count;
  if (above === 'clamp') return max;
  throw invalid(count, `n must be at most ${max}`);
}

/** The Link header to what follows the name `end`. */
export function nextPage(urls: UrlPolicy, path: string, end: string, count?: number): string {
  return nextLink(urls, path, [
    ['last', end],
    ['n', String(count)],
  ]);
}

function invalid(n: unknown, reason: string) {
  return registryError(
    'PAGINATION_NUMBER_INVALID',
    `invalid number of results requested: ${reason}`,
    {
      detail: { n },
    },
  );
}
