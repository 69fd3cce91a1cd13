import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The configuration that ships with the package. */
export const SAMPLE = 'config_sample.yml';

/** The folder that holds package.json: this file runs from src and from dist/src alike, and from a bundle below them. */
export function packageRoot(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, SAMPLE)) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}
