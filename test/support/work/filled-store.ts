import { linkSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const REPOSITORIES = 'docker/registry/v2/repositories';
const DIGEST = `sha256:${'0'.repeat(64)}`;

const numbered = (prefix: string, n: number) => `${prefix}${String(n).padStart(6, '0')}`;

/**
 * Puts a repository with `count` tags, t000000 and so on, into a store, the quickest way there is: their links are hard
 * links to one file. What they name is not stored.
 */
export function addTags(store: string, repository: string, count: number): void {
  mkdirSync(store, { recursive: true });
  const link = join(store, 'a-link');
  writeFileSync(link, DIGEST);
  for (let n = 0; n < count; n += 1) {
    const tag = join(store, REPOSITORIES, repository, '_manifests/tags', numbered('t', n));
    mkdirSync(join(tag, 'current'), { recursive: true });
    linkSync(link, join(tag, 'current/link'));
  }
}

/** Puts repositories without tags, cat/r000000 and so on, into a store. */
export function addRepositories(store: string, count: number): void {
  for (let n = 0; n < count; n += 1) {
    mkdirSync(join(store, REPOSITORIES, numbered('cat/r', n), '_manifests'), { recursive: true });
  }
}
