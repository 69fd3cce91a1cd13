import { posix } from 'node:path';
import { storageError } from '../errors.ts';

const MAX_NAME = 4096;

/**
 * The name of an archive's entry in one form: relative, without `.` and without a slash at the end; '' for the
 * archive itself. Throws IMAGE_INVALID for one that leaves the archive.
 */
export function entryName(raw: string): string {
  if (raw.length > MAX_NAME || raw.includes('\0') || raw.startsWith('/')) throw outside(raw);
  const name = posix.normalize(raw).replace(/\/+$/, '');
  if (name === '..' || name.startsWith('../')) throw outside(raw);
  return name === '.' ? '' : name;
}

/**
 * The entry that a link names: a symbolic one is seen from its own directory, a hard one from the top. Throws
 * IMAGE_INVALID when that leaves the archive.
 */
export function linkTarget(name: string, kind: 'symbolic' | 'hard', target: string): string {
  if (target.startsWith('/')) throw outside(`${name} -> ${target}`);
  return entryName(kind === 'hard' ? target : posix.join(posix.dirname(name), target));
}

function outside(name: string) {
  return storageError(
    'IMAGE_INVALID',
    `the archive names a path outside of itself: ${name.slice(0, 200)}`,
  );
}
