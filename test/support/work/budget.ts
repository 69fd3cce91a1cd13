import { KINDS, type Kind, type Work } from './tally.ts';

/** What one request may cost. Calls and bytes that are not named must be none. */
export type Budget = Partial<Work>;

/** What the work of `times` requests has above the budget of each, as `kind: is, may be`. */
export function excess(work: Work, times: number, budget: Budget): string[] {
  return KINDS.flatMap((kind: Kind) => {
    const each = work[kind] / times;
    const most = budget[kind] ?? 0;
    return each > most ? [`${kind}: ${each}, may be ${most}`] : [];
  });
}
