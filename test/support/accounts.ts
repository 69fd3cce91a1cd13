import { randomBytes } from 'node:crypto';
import {
  type Access,
  type AccessControl,
  type Action,
  ChallengeError,
  registryError,
  type Session,
} from '../../protocols/registry.ts';

interface Account {
  password: string;
  /** What the account may do where; `*` is any repository. */
  rights: Record<string, Action[]>;
}

const ACCOUNTS: Record<string, Account> = {
  ann: { password: 'secret', rights: { '*': ['pull', 'push', 'delete'] } },
  bob: { password: 'builder', rights: { 'bob/app': ['pull', 'push'], public: ['pull'] } },
};

export function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

/**
 * Two accounts, `ann:secret` who may do everything and `bob:builder` who may push `bob/app` and pull `public`, and
 * tokens that are bound to one repository. Nobody else gets in.
 */
export function testAccounts(): AccessControl {
  const tokens = new Map<string, { user: string; repository: string; actions: Action[] }>();
  return {
    accounts: true,
    authorize({ authorization }, wanted) {
      const session = sessionOf(authorization, tokens);
      for (const access of wanted) {
        if (!session.may(access)) throw registryError('DENIED', 'not allowed for this account');
      }
      return session;
    },
    issueV1Token(session, repository, action) {
      const signature = randomBytes(8).toString('hex');
      const actions: Action[] = action === 'write' ? ['pull', 'push'] : ['pull'];
      tokens.set(signature, { user: session.user ?? '', repository, actions });
      return `signature=${signature},repository="${repository}",access=${action}`;
    },
  };
}

function sessionOf(
  authorization: string | undefined,
  tokens: Map<string, { user: string; repository: string; actions: Action[] }>,
): Session {
  const signature = /^Token signature=([0-9a-f]{16}),/.exec(authorization ?? '')?.[1];
  const token = signature === undefined ? undefined : tokens.get(signature);
  if (token) {
    const { user, repository, actions } = token;
    return {
      user,
      repository,
      may: (access) =>
        access.type === 'catalog' ||
        (access.name === repository &&
          actions.includes(access.action) &&
          accountMay(ACCOUNTS[user], access)),
    };
  }
  const [, encoded = ''] = /^Basic (.+)$/.exec(authorization ?? '') ?? [];
  const [user = '', password] = Buffer.from(encoded, 'base64').toString().split(':');
  const account = ACCOUNTS[user];
  if (account?.password !== password || !account) {
    throw new ChallengeError('wrong name or password', {
      'WWW-Authenticate': 'Basic realm="test"',
    });
  }
  return { user, may: (access) => accountMay(account, access) };
}

function accountMay(account: Account | undefined, access: Access): boolean {
  if (access.type === 'catalog') return true;
  const rights = account?.rights[access.name] ?? account?.rights['*'] ?? [];
  return rights.includes(access.action);
}
