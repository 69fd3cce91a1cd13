import { ConfigError } from '../../src/config/findings.ts';
import { type LoadedConfig, parseConfig } from '../../src/config/load.ts';

type Environment = Record<string, string>;

/** The configuration that a text says, with nothing in the environment but what is given. */
export function read(text: string, environment: Environment = {}): LoadedConfig {
  return parseConfig(text, 'test.yml', environment);
}

/** One flavor called dev, whose settings are the lines of `text`. */
export function flavor(text: string, environment: Environment = {}): LoadedConfig {
  const indented = text.replace(/^/gm, '  ');
  return read(`dev:\n${indented}\n`, environment);
}

/** The mistakes in a text, each as `line path message`. */
export function mistakesIn(text: string, environment: Environment = {}): string[] {
  try {
    read(text, environment);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.findings.map(({ path, origin, message }) => {
      const where =
        origin === undefined ? '-' : origin.kind === 'environment' ? origin.variable : origin.line;
      return `${where} ${path} ${message}`;
    });
  }
}

/** The messages of all warnings, each as `path message`. */
export function warningsOf({ warnings }: LoadedConfig): string[] {
  return warnings.map(({ path, message }) => `${path} ${message}`);
}
