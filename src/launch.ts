import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { Script } from 'node:vm';
import type { Program, programs } from './programs.ts';

/**
 * Runs a program of the bundle `file`. Beside it lies what V8 made of it when it was built, so that it need not be
 * compiled at every start. Another version of Node finds none, and one with other flags refuses it; both compile.
 */
export function launch(file: string, program: Program): void {
  // Node maps lines of what it compiles itself only.
  const bundle = process.sourceMapsEnabled ? createRequire(file)(file) : run(file, compile(file));
  void (bundle as { programs: typeof programs }).programs[program]();
}

/** Where the code cache of a bundle lies that this version of V8 may have made. */
export function codeCacheOf(file: string): string {
  return `${file}.v8-${process.versions.v8}.cache`;
}

/** The bundle as a script; its value is the function that CommonJS wraps around a module. */
export function compile(file: string): Script {
  const cache = codeCacheOf(file);
  // esbuild writes ASCII, and Latin-1 is read without a look at each byte.
  const source = readFileSync(file, 'latin1');
  return new Script(`(function (exports, require, module, __filename, __dirname) {${source}\n})`, {
    filename: file,
    ...(existsSync(cache) && { cachedData: readFileSync(cache) }),
  });
}

/** What the bundle exports. */
export function run(file: string, script: Script): unknown {
  const module = { exports: {} };
  const main: unknown = script.runInThisContext();
  if (typeof main !== 'function') throw new Error(`${file} is no bundle`);
  main(module.exports, createRequire(file), module, file, dirname(file));
  return module.exports;
}
