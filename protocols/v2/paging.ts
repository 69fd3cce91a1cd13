import type { Context } from 'koa';
import { queryValue } from '../http.ts';
import { registryError } from '../registry.ts';

/**
 * The page size that `?n=` asks for; undefined when it asks for none. More than `max` is refused (catalog) or cut
 * back (tags), as distribution does. Throws PAGINATION_NUMBER_INVALID.
 */
export function pageSize(ctx: Context, max: number, above: 'refuse' | 'clamp'): number | undefined {
  const text = queryValue(ctx, 'n');
  if (text === undefined || text === '') return undefined;
  const count = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(count)) throw invalid(text, 'n must be a number, 0 or more');
  if (count <= max) return count;
  if (above === 'clamp') return max;
  throw invalid(count, `n must be at most ${max}`);
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
