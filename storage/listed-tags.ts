import type { Digest } from './digest.ts';
import type { MaybePromise } from './links.ts';
import { firstAfter } from './listings.ts';
import { isTag, type Tag } from './names.ts';

/**
 * A tag comes and goes with its directory, which changes the listing. Only a program that broke off while it deleted one
 * leaves a directory without a link; so long is such a name still listed.
 */
const BELIEVED_MS = 30_000;

/** When each name of a listing was last seen to have a link. A directory that is read again gives another listing. */
const looks = new WeakMap<readonly string[], Float64Array>();

/**
 * Tags of a listing after `last`, at most `count`, and whether more follow. The link of each name is looked for once,
 * and not for each page, so that a page costs the same however many tags there are.
 */
export async function tagsAfter(
  names: readonly string[],
  last: string | undefined,
  count: number,
  resolve: (tag: Tag) => MaybePromise<Digest | undefined>,
): Promise<{ items: Tag[]; more: boolean }> {
  const seen = looks.get(names) ?? new Float64Array(names.length);
  looks.set(names, seen);
  const now = Date.now();
  const items: Tag[] = [];
  for (let at = last === undefined ? 0 : firstAfter(names, last); at < names.length; at += 1) {
    const name = names[at] as string;
    if (now - (seen[at] as number) > BELIEVED_MS) {
      if (!isTag(name)) continue;
      const link = resolve(name);
      if (!(link instanceof Promise ? await link : link)) continue;
      seen[at] = now;
    }
    if (items.length === count) return { items, more: true };
    items.push(name as Tag);
  }
  return { items, more: false };
}
