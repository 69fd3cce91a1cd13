import { existsSync, readFileSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { packageRoot, SAMPLE } from '../package-root.ts';
import type { Config } from './config.ts';
import { readDistribution } from './distribution.ts';
import type { Environment } from './environment.ts';
import { ConfigError, type Finding, Findings } from './findings.ts';
import { readFlavors } from './flavors.ts';
import { warningsOfLaterWork } from './later.ts';
import { parseTree } from './parse-tree.ts';
import { refusalsInProduction } from './production.ts';

export interface LoadedConfig {
  config: Config;
  /** What the operator should hear at start: obsolete or ignored settings, risky ones. */
  warnings: readonly Finding[];
}

/** What a configuration is loaded for: to serve by it, or to work on the store of this host only. */
export type Purpose = 'serve' | 'offline';

/**
 * The configuration from `argument`, else DOCKER_REGISTRY_CONFIG, else REGISTRY_CONFIGURATION_PATH, else the sample
 * that ships with the package. Throws a ConfigError that holds every mistake; to serve, also one that holds what must
 * not face users.
 */
export function loadConfig(
  argument: string | undefined,
  environment: Environment,
  purpose: Purpose = 'serve',
): LoadedConfig {
  const path = locateConfig(argument, environment);
  return parseConfig(readConfigFile(path), path, environment, purpose);
}

/** The same for text that stands in memory; `path` is only named. */
export function parseConfig(
  text: string,
  path: string,
  environment: Environment,
  purpose: Purpose = 'serve',
): LoadedConfig {
  const findings = new Findings();
  const config = read(text, path, environment, findings);
  if (config !== undefined && findings.mistakes.length === 0 && purpose === 'serve') {
    for (const refusal of refusalsInProduction(config)) findings.mistakes.push(refusal);
  }
  if (config === undefined || findings.mistakes.length > 0)
    throw new ConfigError(path, findings.mistakes);
  const warnings = [
    ...findings.warnings,
    ...warningOfIdle(findings.idle),
    ...warningsOfLaterWork(config),
  ];
  return { config, warnings };
}

/** One line for all of them: they harm nothing. */
function warningOfIdle(paths: readonly string[]): Finding[] {
  if (paths.length === 0) return [];
  const message = `understood, but without effect here: ${paths.join(', ')}`;
  return [{ path: '', origin: undefined, message }];
}

function read(
  text: string,
  path: string,
  environment: Environment,
  findings: Findings,
): Config | undefined {
  const tree = parseTree(text, findings);
  if (tree === undefined) return undefined;
  if (tree.kind !== 'map') {
    findings.mistake(
      '',
      tree.origin,
      "expected a map of flavors, or distribution's config.yml with `version: 0.1`",
    );
    return undefined;
  }
  const reader = tree.entries.has('version') ? readDistribution : readFlavors;
  return reader(tree, path, environment, findings);
}

function readConfigFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const reason = code === 'ENOENT' ? 'the file is missing' : `the file can't be read (${code})`;
    const message = `${reason}; name one as argument, in DOCKER_REGISTRY_CONFIG or in REGISTRY_CONFIGURATION_PATH`;
    throw new ConfigError(path, [{ path: '', origin: undefined, message }]);
  }
}

function locateConfig(argument: string | undefined, environment: Environment): string {
  const named = [
    argument,
    environment.DOCKER_REGISTRY_CONFIG,
    environment.REGISTRY_CONFIGURATION_PATH,
  ];
  const path = named.find((each) => each !== undefined && each !== '');
  const home = packageRoot();
  if (path === undefined) return join(home, SAMPLE);
  // docker-registry took a relative name from its own folder; the working directory comes first here.
  if (isAbsolute(path) || existsSync(path)) return resolve(path);
  return existsSync(join(home, path)) ? join(home, path) : resolve(path);
}
