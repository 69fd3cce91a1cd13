import type { Context } from 'koa';
import type { Registry } from '../registry.ts';
import { getBlob } from './blobs.ts';
import { getManifest } from './manifests.ts';

/** Answers a request whose path was taken apart already. */
export type HotRoute = (ctx: Context) => Promise<void>;

/**
 * The pulls of manifests and blobs, which nearly all requests are, told apart by their last two segments: the router
 * would try one pattern after the other. Gives undefined for everything else, which takes the router's way.
 */
export function hotRoutes(
  registry: Registry,
): (method: string, path: string) => HotRoute | undefined {
  return (method, path) => {
    if (method !== 'GET' && method !== 'HEAD') return undefined;
    if (!path.startsWith('/v2/') || path.includes('%')) return undefined;
    const last = path.lastIndexOf('/');
    const before = path.lastIndexOf('/', last - 1);
    if (before <= 3) return undefined;
    const kind = path.slice(before + 1, last);
    const name = path.slice(4, before);
    const reference = path.slice(last + 1);
    if (reference === '') return undefined;
    if (kind === 'manifests') {
      return (ctx) => {
        ctx.params = { name, reference };
        return getManifest(ctx, registry);
      };
    }
    if (kind === 'blobs' && reference.includes(':')) {
      return (ctx) => {
        ctx.params = { name, digest: reference };
        return getBlob(ctx, registry);
      };
    }
    return undefined;
  };
}
