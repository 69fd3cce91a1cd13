/** What kind of request it is: distribution's names for V2 (v2.md 5.6), ours for V1. */
export type RouteName =
  | 'base'
  | 'manifest'
  | 'catalog'
  | 'tags'
  | 'blob'
  | 'blob_upload'
  | 'blob_upload_chunk'
  | 'referrers'
  | 'v1_ping'
  | 'v1_image'
  | 'v1_layer'
  | 'v1_tags'
  | 'v1_repository'
  | 'v1_users'
  | 'v1_search'
  | 'other';

/** The route of a request target without its query. Never fails, and has few values whatever clients send. */
export function routeName(target: string, prefix = ''): RouteName {
  const query = target.indexOf('?');
  const path = target.slice(
    prefix !== '' && target.startsWith(prefix) ? prefix.length : 0,
    query < 0 ? undefined : query,
  );
  if (path === '/v2' || path.startsWith('/v2/')) return v2Route(path);
  if (path.startsWith('/v1/')) return v1Route(path);
  return path === '/_ping' ? 'v1_ping' : 'other';
}

function v2Route(path: string): RouteName {
  if (path.length <= 4) return 'base';
  if (path === '/v2/_catalog') return 'catalog';
  if (path.endsWith('/tags/list')) return 'tags';
  // The last two parts decide, since parts of a repository's name may be called like a route.
  const last = path.lastIndexOf('/');
  const before = path.lastIndexOf('/', last - 1);
  switch (path.slice(before + 1, last)) {
    case 'manifests':
      return 'manifest';
    case 'referrers':
      return 'referrers';
    case 'blobs':
      return path.endsWith('/uploads') ? 'blob_upload' : 'blob';
    case 'uploads':
      return last === path.length - 1 ? 'blob_upload' : 'blob_upload_chunk';
    default:
      return 'other';
  }
}

function v1Route(path: string): RouteName {
  if (path.startsWith('/v1/images/')) return path.endsWith('/layer') ? 'v1_layer' : 'v1_image';
  if (path.startsWith('/v1/repositories/')) {
    return path.includes('/tags', 17) ? 'v1_tags' : 'v1_repository';
  }
  if (path.startsWith('/v1/_ping')) return 'v1_ping';
  if (path.startsWith('/v1/users')) return 'v1_users';
  return path.startsWith('/v1/search') ? 'v1_search' : 'other';
}
