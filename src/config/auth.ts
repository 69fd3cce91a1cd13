import { isRepositoryPattern } from './patterns.ts';
import type { Section } from './reader.ts';

/** Who may do what, for both protocols. With none of htpasswd, token and silly, everyone may do everything. */
export interface AuthConfig {
  /** Name of the realm in challenges. Default "registry". */
  realm: string;
  /** Accounts; undefined for none. */
  htpasswd: HtpasswdConfig | undefined;
  /** Names of groups and their members. */
  groups: Record<string, string[]>;
  /** What each may do; what no rule grants is refused. Default with accounts: every user everything. */
  rules: AccessRule[];
  /** Tokens of an outside token server (distribution's `auth.token`); undefined for none. */
  token: OutsideTokenConfig | undefined;
  /** Our own token endpoint, for accounts; undefined when switched off or without accounts. */
  tokenEndpoint: TokenEndpointConfig | undefined;
  /** For tests of clients: any credentials pass. */
  silly: { realm: string; service: string } | undefined;
  /** Seconds that a good password is believed without being hashed again. Default 60. */
  passwordCacheSeconds: number;
  /** Wrong passwords from one address or for one user in a minute, before 429. Default 30; 0 for no limit. */
  failuresPerMinute: number;
}

export interface HtpasswdConfig {
  /** File of `name:hash` lines; read again when it changes. */
  path: string;
}

const ACTIONS = ['pull', 'push', 'delete', 'catalog'] as const;
export type RuleAction = (typeof ACTIONS)[number];

export interface AccessRule {
  /** Patterns of repository names: `*` within a component, `**` for any number of them. Default [**]. */
  repositories: string[];
  /** User names; `*` for whoever has logged in. */
  users: string[];
  /** Names of groups. */
  groups: string[];
  /** Whether it also holds for those who have not logged in. Default false. */
  anonymous: boolean;
  actions: RuleAction[];
}

export interface OutsideTokenConfig {
  /** URL of the token server, told in challenges. */
  realm: string;
  service: string;
  issuer: string;
  /** Path of PEM certificates that sign; undefined when `jwks` is set. */
  rootCertBundle: string | undefined;
  /** Path of a JSON Web Key Set. */
  jwks: string | undefined;
  /** Accepted algorithms. Default EdDSA, ES, PS, RS 256-512. */
  signingAlgorithms: string[];
  /** The realm becomes this path at the host the client used; undefined: the realm as configured. */
  autoRedirectPath: string | undefined;
}

export interface TokenEndpointConfig {
  /** Default /auth/token. */
  path: string;
  /** Default isthmus. */
  issuer: string;
  /** Default: the realm. */
  service: string;
  /** Seconds that a token is good for. Default 300. */
  lifetimeSeconds: number;
  /** Seconds that a refresh token is good for. Default 30 days. */
  refreshSeconds: number;
  /** Seconds that a V1 token is good for: as long as the longest push. Default 6 hours. */
  v1LifetimeSeconds: number;
  /** Path of the key (PEM or JWK) that signs; undefined: made once and kept in the store. */
  keyFile: string | undefined;
}

const ALGORITHMS = [
  'EdDSA',
  'ES256',
  'ES384',
  'ES512',
  'PS256',
  'PS384',
  'PS512',
  'RS256',
  'RS384',
  'RS512',
] as const;
const SHARED_SECRET_ALGORITHMS = ['HS256', 'HS384', 'HS512'] as const;

/** The section `auth`. */
export function readAuth(root: Section): AuthConfig {
  const auth = root.section('auth');
  const given = ['htpasswd', 'token', 'silly'].filter((key) => auth.section(key).present);
  if (given.length > 1)
    auth.mistake('', `expected one kind of access control, got ${given.join(' and ')}`);
  const htpasswd = readHtpasswd(auth);
  const realm = auth.string('realm') ?? auth.section('htpasswd').string('realm') ?? 'registry';
  const groups = auth.stringLists('groups');
  return {
    realm,
    htpasswd,
    groups,
    rules: readRules(auth, groups, htpasswd !== undefined),
    token: readToken(auth),
    tokenEndpoint: readTokenEndpoint(auth.section('tokenendpoint'), realm, htpasswd !== undefined),
    silly: readSilly(auth),
    passwordCacheSeconds: auth.duration('passwordcache', 60),
    failuresPerMinute: auth.integer('failuresperminute', {}, 30),
  };
}

function readHtpasswd(auth: Section): HtpasswdConfig | undefined {
  const section = auth.section('htpasswd');
  section.ignore('realm');
  const path = section.string('path');
  if (section.present && path === undefined && section.keys().length > 0) {
    section.mistake('path', 'expected the path of a file made by `htpasswd -B`');
  }
  return path === undefined ? undefined : { path };
}

function readSilly(auth: Section): AuthConfig['silly'] {
  const section = auth.section('silly');
  const silly = { realm: section.string('realm', ''), service: section.string('service', '') };
  return section.present ? silly : undefined;
}

function readRules(
  auth: Section,
  groups: Record<string, string[]>,
  accounts: boolean,
): AccessRule[] {
  const rules = auth.sections('rules').map((rule) => readRule(rule, groups));
  if (rules.length > 0 && !accounts && !auth.section('token').present) {
    auth.mistake('rules', 'rules need accounts; set auth.htpasswd.path');
  }
  if (rules.length > 0 || !accounts) return rules;
  return [
    { repositories: ['**'], users: ['*'], groups: [], anonymous: false, actions: [...ACTIONS] },
  ];
}

function readRule(rule: Section, groups: Record<string, string[]>): AccessRule {
  const read = {
    repositories: rule.strings('repositories', ['**']),
    users: rule.strings('users', []),
    groups: rule.strings('groups', []),
    anonymous: rule.boolean('anonymous', false),
    actions: readActions(rule),
  };
  const pattern = read.repositories.find((each) => !isRepositoryPattern(each));
  if (pattern !== undefined) {
    rule.mistake(
      'repositories',
      `expected patterns such as team/* or library/**, got "${pattern}"`,
    );
  }
  const group = read.groups.find((each) => groups[each] === undefined);
  if (group !== undefined) {
    const known = Object.keys(groups).join(', ') || 'none is defined under auth.groups';
    rule.mistake('groups', `there is no group "${group}" (${known})`);
  }
  if (!read.anonymous && read.users.length === 0 && read.groups.length === 0) {
    rule.mistake('users', 'the rule is for nobody; set users, groups or anonymous');
  }
  return read;
}

function readActions(rule: Section): RuleAction[] {
  const words = rule.strings('actions', []);
  const actions = ACTIONS.filter((action) => words.includes(action) || words.includes('*'));
  const wrong = words.find((word) => word !== '*' && !ACTIONS.some((action) => action === word));
  if (wrong !== undefined || words.length === 0) {
    rule.mistake('actions', `expected some of ${ACTIONS.join(', ')}, or *, got "${wrong ?? ''}"`);
  }
  return actions;
}

function readToken(auth: Section): OutsideTokenConfig | undefined {
  const token = auth.section('token');
  const redirect = token.boolean('autoredirect', false);
  const redirectPath = token.string('autoredirectpath', '/auth/token');
  const read = {
    realm: token.string('realm', ''),
    service: token.string('service', ''),
    issuer: token.string('issuer', ''),
    rootCertBundle: token.string('rootcertbundle'),
    jwks: token.string('jwks'),
    signingAlgorithms: token.strings('signingalgorithms', [...ALGORITHMS]),
    autoRedirectPath: redirect ? redirectPath : undefined,
  };
  if (!token.present) return undefined;
  for (const key of ['realm', 'service', 'issuer'] as const) {
    if (read[key] === '') token.mistake(key, 'is needed to check tokens of an outside server');
  }
  if (read.rootCertBundle === undefined && read.jwks === undefined) {
    token.mistake(
      'rootcertbundle',
      'expected the path of the certificates that sign tokens, or jwks',
    );
  }
  const known: readonly string[] = [...ALGORITHMS, ...SHARED_SECRET_ALGORITHMS];
  const wrong = read.signingAlgorithms.find((each) => !known.includes(each));
  if (wrong !== undefined)
    token.mistake('signingalgorithms', `expected some of ${known.join(', ')}, got "${wrong}"`);
  return read;
}

function readTokenEndpoint(
  section: Section,
  realm: string,
  accounts: boolean,
): TokenEndpointConfig | undefined {
  const enabled = section.boolean('enabled', true);
  const read = {
    path: section.string('path', '/auth/token'),
    issuer: section.string('issuer', 'isthmus'),
    service: section.string('service', realm),
    lifetimeSeconds: section.duration('lifetime', 300),
    refreshSeconds: section.duration('refreshlifetime', 30 * 86_400),
    v1LifetimeSeconds: section.duration('v1lifetime', 6 * 3600),
    keyFile: section.string('keyfile'),
  };
  if (!read.path.startsWith('/'))
    section.mistake('path', `expected a path such as /auth/token, got "${read.path}"`);
  return enabled && accounts ? read : undefined;
}
