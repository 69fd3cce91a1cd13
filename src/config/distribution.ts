import type { Config } from './config.ts';
import { applyEnvironment, type Environment } from './environment.ts';
import type { Findings } from './findings.ts';
import { Section } from './reader.ts';
import { holdsLiteralSecrets } from './secrets.ts';
import { readSections } from './sections.ts';
import type { MapNode } from './tree.ts';

/** Reads distribution's `config.yml`, version 0.1 (v2.md 4), with the `REGISTRY_*` variables laid over it. */
export function readDistribution(
  root: MapNode,
  path: string,
  environment: Environment,
  findings: Findings,
): Config {
  applyEnvironment(root, environment, findings);
  warnOfV1Variables(environment, findings);
  // A bare number is a Go time.Duration: nanoseconds.
  const section = new Section(root, '', { findings, bareDurationUnit: 1e-9, strict: false });
  const version = section.string('version');
  if (version !== '0.1')
    section.mistake('version', `expected 0.1, got ${JSON.stringify(version ?? '')}`);
  if (section.node('storage') === undefined) {
    section.mistake(
      'storage',
      'expected one storage driver, such as `storage: {filesystem: {rootdirectory: /var/lib/registry}}`',
    );
  }
  return readSections(
    section,
    { kind: 'distribution', path, flavor: undefined, literalSecrets: holdsLiteralSecrets(root) },
    {
      drainSeconds: 30,
      headers: {},
      storageRoot: '/var/lib/registry',
      delete: false,
      accessLog: 'combined',
      workers: 1,
    },
  );
}

function warnOfV1Variables(environment: Environment, findings: Findings): void {
  for (const variable of ['REGISTRY_HOST', 'REGISTRY_PORT']) {
    const value = environment[variable];
    if (value === undefined || value === '') continue;
    const why = /^(tcp|udp):/.test(value)
      ? 'set by a container link'
      : 'it belongs to flavors files; use REGISTRY_HTTP_ADDR';
    findings.warning('', { kind: 'environment', variable }, `"${value}" is ignored: ${why}`);
  }
}
