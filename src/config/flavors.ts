import type { Config } from './config.ts';
import { applyEnvironment, type Environment, parseValue } from './environment.ts';
import type { Findings, Origin } from './findings.ts';
import { applyGunicornEnvironment } from './gunicorn.ts';
import { FLAT_KEYS, translateLegacyKeys } from './legacy.ts';
import { Section } from './reader.ts';
import { holdsLiteralSecrets } from './secrets.ts';
import { readSections } from './sections.ts';
import { didYouMean } from './suggest.ts';
import type { MapNode, TreeNode } from './tree.ts';

const REFERENCE = '_env:';

/**
 * Reads one flavor of a docker-registry configuration file (v1.md 4): `SETTINGS_FLAVOR` picks it (default dev; empty
 * takes the whole document), `_env:NAME[:default]` is replaced, `REGISTRY_*` and the GUNICORN_* variables override.
 */
export function readFlavors(
  document: MapNode,
  path: string,
  environment: Environment,
  findings: Findings,
): Config | undefined {
  const flavor = environment.SETTINGS_FLAVOR ?? 'dev';
  const chosen = flavor === '' ? document : pickFlavor(document, flavor, findings);
  if (chosen === undefined) return undefined;
  const root = resolveReferences(chosen, environment, findings, '', 0);
  applyGunicornEnvironment(root, environment, findings);
  applyEnvironment(root, environment, findings, FLAT_KEYS);
  translateLegacyKeys(root, findings);
  const section = new Section(root, '', { findings, bareDurationUnit: 1, strict: true });
  section.ignore('version');
  const source = {
    kind: 'flavors' as const,
    path,
    flavor: flavor === '' ? undefined : flavor,
    literalSecrets: holdsLiteralSecrets(root),
  };
  return readSections(section, source, {
    drainSeconds: 3600,
    headers: { 'X-Content-Type-Options': ['nosniff'] },
    storageRoot: './data',
    delete: true,
    accessLog: 'auto',
    workers: flavor === 'prod' ? 'auto' : 1,
  });
}

function pickFlavor(document: MapNode, flavor: string, findings: Findings): MapNode | undefined {
  const flavors = [...document.entries]
    .filter(([, node]) => node.kind === 'map')
    .map(([name]) => name);
  const node = document.entries.get(flavor);
  if (node?.kind === 'map') return node;
  const origin: Origin = { kind: 'environment', variable: 'SETTINGS_FLAVOR' };
  const problem =
    node === undefined ? 'the file has no flavor' : 'expected a map of settings for the flavor';
  const known = flavors.length === 0 ? 'it has no flavors at all' : `it has ${flavors.join(', ')}`;
  findings.mistake('', origin, `${problem} "${flavor}"; ${known}${didYouMean(flavor, flavors)}`);
  return undefined;
}

/** A copy in which every map value `_env:…` is replaced. List items are left, as docker-registry left them. */
function resolveReferences(
  map: MapNode,
  environment: Environment,
  findings: Findings,
  path: string,
  depth: number,
): MapNode {
  const entries = new Map<string, TreeNode>();
  for (const [key, value] of map.entries) {
    const place = path === '' ? key : `${path}.${key}`;
    const node = isReference(value)
      ? dereference(value.text, value.origin, place, environment, findings)
      : value;
    const resolved =
      node.kind === 'map' && depth < 20
        ? resolveReferences(node, environment, findings, place, depth + 1)
        : node;
    entries.set(key, resolved);
  }
  return { ...map, entries };
}

function isReference(node: TreeNode): node is TreeNode & { kind: 'scalar' } {
  return node.kind === 'scalar' && node.text.startsWith(REFERENCE);
}

function dereference(
  text: string,
  written: Origin,
  path: string,
  environment: Environment,
  findings: Findings,
): TreeNode {
  const rest = text.slice(REFERENCE.length);
  const colon = rest.indexOf(':');
  const variable = colon < 0 ? rest : rest.slice(0, colon);
  const nothing: TreeNode = { kind: 'scalar', text: '', quoted: false, origin: written };
  if (variable === '') {
    findings.mistake(
      path,
      written,
      `expected _env:NAME or _env:NAME:default, got ${JSON.stringify(text)}`,
    );
    return nothing;
  }
  const set = environment[variable];
  const line = written.kind === 'file' ? written.line : 0;
  const origin: Origin =
    set === undefined ? { kind: 'default', variable, line } : { kind: 'environment', variable };
  // Set but empty is null, not the default (v1.md 4.2).
  const value = set ?? (colon < 0 ? '' : rest.slice(colon + 1));
  return parseValue(value, origin, path, findings) ?? { ...nothing, origin };
}
