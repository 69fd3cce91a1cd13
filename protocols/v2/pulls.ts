import type { Pull } from '../protocol.ts';
import type { Registry } from '../registry.ts';
import { pullBlob } from './blobs.ts';
import { pullCatalog } from './catalog.ts';
import { pullManifest } from './manifests.ts';
import { pullTags } from './tags.ts';

/**
 * The pulls of manifests and blobs, and listings, told apart by their last two segments: the router tries one pattern
 * after the other.
 */
export function pulls(registry: Registry): (path: string) => Pull | undefined {
  return (path) => {
    if (!path.startsWith('/v2/') || path.includes('%')) return undefined;
    const last = path.lastIndexOf('/');
    const before = path.lastIndexOf('/', last - 1);
    if (path === '/v2/_catalog') return (incoming) => pullCatalog(incoming, registry);
    if (before <= 3) return undefined;
    const kind = path.slice(before + 1, last);
    const name = path.slice(4, before);
    const reference = path.slice(last + 1);
    if (reference === '') return undefined;
    if (kind === 'manifests')
      return (incoming) => pullManifest(incoming, registry, name, reference);
    if (kind === 'blobs' && reference.includes(':')) {
      return (incoming) => pullBlob(incoming, registry, name, reference);
    }
    if (kind === 'tags' && reference === 'list') {
      return (incoming) => pullTags(incoming, registry, name);
    }
    return undefined;
  };
}
