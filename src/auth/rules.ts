import type { Access } from '../../protocols/registry.ts';
import type { AccessRule, RuleAction } from '../config/auth.ts';
import { repositoryMatcher } from '../config/patterns.ts';

/** What somebody may do. */
export interface Permissions {
  may(access: Access): boolean;
}

interface CompiledRule {
  matches: (name: string) => boolean;
  actions: ReadonlySet<RuleAction>;
  anyone: boolean;
  anyUser: boolean;
  users: ReadonlySet<string>;
}

const MOST_USERS = 10_000;

/**
 * The rules of the configuration, compiled once. What no rule grants is refused. A rule that grants `catalog` opens
 * the list of repositories, in which everybody sees what they may pull.
 */
export class AccessRules {
  readonly #rules: readonly CompiledRule[];
  readonly #permissions = new Map<string, Permissions>();
  readonly #anonymous: Permissions;
  /** Whether any rule holds without a login. */
  readonly grantsAnonymous: boolean;
  /** Whether any rule holds for those with a login only. */
  readonly grantsUsers: boolean;

  constructor(rules: readonly AccessRule[], groups: Readonly<Record<string, readonly string[]>>) {
    this.#rules = rules.map((rule) => compile(rule, groups));
    this.#anonymous = permissionsOf(this.#rules.filter((rule) => rule.anyone));
    this.grantsAnonymous = this.#rules.some((rule) => rule.anyone);
    this.grantsUsers = this.#rules.some((rule) => !rule.anyone);
  }

  /** What this user may do; undefined is whoever has not logged in. */
  of(user: string | undefined): Permissions {
    if (user === undefined) return this.#anonymous;
    const known = this.#permissions.get(user);
    if (known) return known;
    const permissions = permissionsOf(
      this.#rules.filter((rule) => rule.anyone || rule.anyUser || rule.users.has(user)),
    );
    if (this.#permissions.size >= MOST_USERS) this.#permissions.clear();
    this.#permissions.set(user, permissions);
    return permissions;
  }
}

function compile(
  rule: AccessRule,
  groups: Readonly<Record<string, readonly string[]>>,
): CompiledRule {
  const matchers = rule.repositories.map(repositoryMatcher);
  const [only] = matchers;
  return {
    matches:
      only !== undefined && matchers.length === 1
        ? only
        : (name) => matchers.some((matches) => matches(name)),
    actions: new Set(rule.actions),
    anyone: rule.anonymous,
    anyUser: rule.users.includes('*'),
    users: new Set([...rule.users, ...rule.groups.flatMap((group) => groups[group] ?? [])]),
  };
}

function permissionsOf(rules: readonly CompiledRule[]): Permissions {
  return {
    may: (access) =>
      access.type === 'catalog'
        ? rules.some((rule) => rule.actions.has('catalog'))
        : rules.some((rule) => rule.actions.has(access.action) && rule.matches(access.name)),
  };
}
