import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Coverage {
  result: { url: string; functions: { functionName: string; ranges: { count: number }[] }[] }[];
}

/** What one process ran, by what V8 counted in it (NODE_V8_COVERAGE). */
export class RanCode {
  readonly #coverage: Coverage;

  constructor(coverage: Coverage) {
    this.#coverage = coverage;
  }

  /** How often the functions of a name were called. The bundle numbers names that occur twice. */
  calls(name: string): number {
    const named = new RegExp(`^${name}\\d*$`);
    return this.#coverage.result
      .flatMap(({ functions }) => functions)
      .filter(({ functionName }) => named.test(functionName))
      .reduce((sum, { ranges }) => sum + (ranges[0]?.count ?? 0), 0);
  }

  /** Whether a part of Node was loaded, such as `node:tls`. */
  loaded(part: string): boolean {
    return this.#coverage.result.some(({ url }) => url === part);
  }

  /** Our own files, by the end of their name, and their bytes. */
  files(): Record<string, number> {
    const own = this.#coverage.result.filter(({ url }) => url.startsWith('file:'));
    return Object.fromEntries(
      own.map(({ url }) => [url.split('/').at(-1), statSync(fileURLToPath(url)).size]),
    );
  }
}

/** What the processes ran that left their counts in a directory. */
export function ranCode(directory: string): RanCode[] {
  return readdirSync(directory).map(
    (name) => new RanCode(JSON.parse(readFileSync(join(directory, name), 'utf8')) as Coverage),
  );
}
