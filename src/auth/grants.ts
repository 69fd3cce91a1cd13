import type { Access } from '../../protocols/registry.ts';

/** One entry of a token's `access` list (distribution's token specification). */
export interface AccessEntry {
  type: string;
  name: string;
  actions: string[];
}

const MOST_SCOPES = 100;

/** What a token's access list grants. */
export class Grants {
  readonly #repositories = new Map<string, Set<string>>();
  readonly #catalog: boolean;

  constructor(entries: readonly AccessEntry[]) {
    let catalog = false;
    for (const { type, name, actions } of entries) {
      if (type === 'repository') {
        const granted = this.#repositories.get(name) ?? new Set();
        for (const action of actions) granted.add(action);
        this.#repositories.set(name, granted);
      } else if (type === 'registry' && name === 'catalog') {
        catalog ||= actions.includes('*');
      }
    }
    this.#catalog = catalog;
  }

  may(access: Access): boolean {
    if (access.type === 'catalog') return this.#catalog;
    const granted = this.#repositories.get(access.name);
    return granted !== undefined && (granted.has(access.action) || granted.has('*'));
  }
}

/** The `access` claim of a token; undefined when it is no access list. A missing one grants nothing. */
export function parseAccessClaim(claim: unknown): AccessEntry[] | undefined {
  if (claim === undefined || claim === null) return [];
  if (!Array.isArray(claim)) return undefined;
  const entries = claim.map(parseEntry);
  return entries.every((entry) => entry !== undefined) ? entries : undefined;
}

function parseEntry(value: unknown): AccessEntry | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { type, name, actions } = value as Record<string, unknown>;
  if (typeof type !== 'string' || typeof name !== 'string') return undefined;
  const list = actions ?? [];
  if (!Array.isArray(list) || !list.every((action) => typeof action === 'string')) return undefined;
  return { type, name, actions: list };
}

/**
 * The scopes that a client asks a token server for: `repository:team/app:pull,push`, several in one parameter or in
 * several. A class, as in `repository(plugin)`, is left out; what is no scope is ignored.
 */
export function parseScopes(parameters: readonly string[]): AccessEntry[] {
  const entries: AccessEntry[] = [];
  for (const scope of parameters.flatMap((parameter) => parameter.split(' '))) {
    const match = /^([a-z0-9]+)(?:\([a-z0-9]+\))?:(.+):([^:]*)$/.exec(scope);
    const [, type, name, actions = ''] = match ?? [];
    if (type === undefined || name === undefined || entries.length === MOST_SCOPES) continue;
    entries.push({ type, name, actions: actions.split(',').filter((action) => action !== '') });
  }
  return entries;
}

/** The scope parameter of a challenge: what the request would need. */
export function scopeOf(wanted: readonly Access[]): string {
  const scopes = new Map<string, string[]>();
  for (const access of wanted) {
    const { resource, action } = describe(access);
    scopes.set(resource, [...(scopes.get(resource) ?? []), action]);
  }
  return [...scopes].map(([resource, actions]) => `${resource}:${actions.join(',')}`).join(' ');
}

function describe(access: Access): { resource: string; action: string } {
  return access.type === 'catalog'
    ? { resource: 'registry:catalog', action: '*' }
    : { resource: `repository:${access.name}`, action: access.action };
}

/** The `detail` of UNAUTHORIZED, as distribution writes it; null where nothing in particular was wanted (v2.md 5.3). */
export function detailOf(wanted: readonly Access[]): unknown {
  if (wanted.length === 0) return null;
  return wanted.map((access) =>
    access.type === 'catalog'
      ? { Type: 'registry', Class: '', Name: 'catalog', Action: '*' }
      : { Type: 'repository', Class: '', Name: access.name, Action: access.action },
  );
}
