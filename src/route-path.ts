/** A segment that has to be looked at: escapes, empty and dot segments. Most paths have none. */
const UNCLEAN = /%|\/\/|\/\.{1,2}(?:\/|$)/;
/** More than any name, digest and escape together need; matching routes costs more than linear time. */
const MAX_PATH = 4096;

export type RoutePath =
  /** What routes match on: each segment escaped once, in one way only. */
  | { kind: 'route'; path: string }
  /** The same place, written properly. */
  | { kind: 'moved'; path: string }
  | { kind: 'invalid'; reason: string };

/**
 * Reads a request path as distribution's router does (v2.md 1.1): `%2F` counts as a slash, `//`, `.` and `..` lead
 * to the cleaned path. Whatever is decoded here is decoded once.
 */
export function routePath(raw: string): RoutePath {
  if (raw.length > MAX_PATH) {
    return { kind: 'invalid', reason: `the path is longer than ${MAX_PATH} bytes` };
  }
  if (!UNCLEAN.test(raw)) return { kind: 'route', path: raw };
  const decoded = decode(raw);
  if (decoded === undefined) {
    return { kind: 'invalid', reason: 'the path is not percent-encoded UTF-8' };
  }
  const clean = cleanPath(decoded);
  const path = clean.split('/').map(escapeSegment).join('/');
  return { kind: clean === decoded ? 'route' : 'moved', path };
}

/** Whether a request target is a path alone, in the one way in which it can be written. */
export function isPlain(target: string): boolean {
  return target.length <= MAX_PATH && !target.includes('?') && !UNCLEAN.test(target);
}

/** Takes `prefix` off a path; undefined for a path that does not lie below it. */
export function withoutPrefix(path: string, prefix: string): string | undefined {
  if (prefix === '') return path;
  if (!path.startsWith(prefix)) return undefined;
  const rest = path.slice(prefix.length);
  return rest === '' || rest.startsWith('/') ? rest : undefined;
}

function decode(raw: string): string | undefined {
  try {
    return decodeURIComponent(raw);
  } catch {
    return undefined;
  }
}

function cleanPath(path: string): string {
  const segments: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  const trailing = segments.length > 0 && /\/\.{0,2}$/.test(path) ? '/' : '';
  return `/${segments.join('/')}${trailing}`;
}

function escapeSegment(segment: string): string {
  return encodeURIComponent(segment).replaceAll('%3A', ':');
}
