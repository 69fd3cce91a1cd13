/** Where a value came from, for messages: a line of the file, an environment variable, or a default after `_env:`. */
export type Origin =
  | { kind: 'file'; line: number }
  | { kind: 'environment'; variable: string }
  | { kind: 'default'; variable: string; line: number };

export interface Finding {
  /** Dotted key path as the operator wrote it; '' for the file as a whole. */
  path: string;
  origin: Origin | undefined;
  message: string;
}

/** What is wrong, and what is merely worth saying, in one configuration; collected so that all is told at once. */
export class Findings {
  readonly mistakes: Finding[] = [];
  readonly warnings: Finding[] = [];
  /** Paths of settings that were given, and mean nothing here. */
  readonly idle: string[] = [];

  mistake(path: string, origin: Origin | undefined, message: string): void {
    this.mistakes.push({ path, origin, message });
  }

  warning(path: string, origin: Origin | undefined, message: string): void {
    this.warnings.push({ path, origin, message });
  }
}

/** Thrown when a configuration can't be used. `findings` holds every mistake; the message lists them. */
export class ConfigError extends Error {
  readonly findings: readonly Finding[];

  constructor(file: string, findings: readonly Finding[]) {
    const count = findings.length === 1 ? '1 mistake' : `${findings.length} mistakes`;
    const lines = [...findings].sort(byLine).map((finding) => `  ${describeFinding(finding)}`);
    super(`${count} in the configuration (${file}):\n${lines.join('\n')}`);
    this.name = 'ConfigError';
    this.findings = findings;
  }
}

/** `line 12: storage.delete.enabled: expected true or false, got "maybe"`. */
export function describeFinding(finding: Finding): string {
  return [describeOrigin(finding.origin), finding.path, finding.message]
    .filter((part) => part !== '')
    .join(': ');
}

function describeOrigin(origin: Origin | undefined): string {
  if (origin === undefined) return '';
  if (origin.kind === 'environment') return `environment variable ${origin.variable}`;
  return `line ${origin.line}`;
}

function byLine(a: Finding, b: Finding): number {
  return lineOf(a) - lineOf(b);
}

function lineOf({ origin }: Finding): number {
  return origin === undefined || origin.kind === 'environment'
    ? Number.MAX_SAFE_INTEGER
    : origin.line;
}
