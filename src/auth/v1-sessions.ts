import type { Access } from '../../protocols/registry.ts';
import type { V1TokenFields } from './credentials.ts';
import type { SealedTokens } from './sealed-tokens.ts';

export type V1Access = 'read' | 'write' | 'delete';

/** What a V1 token of ours says. */
export interface V1Token {
  /** Undefined for a client without a login. */
  user: string | undefined;
  /** State of the account when the token was made (Accounts.stateOf). */
  state: string | undefined;
  repository: string;
  access: V1Access;
  /** Milliseconds since the epoch. */
  expires: number;
}

/** What each kind of token lets do: engines look up images by the write token of their push (v1.md 2.2). */
const ACTIONS: Record<V1Access, readonly string[]> = {
  read: ['pull'],
  write: ['pull', 'push'],
  delete: ['delete'],
};

/**
 * The tokens that V1's index routes hand out and its registry routes take: `signature=…,repository="…",access=…`,
 * where the signature seals the rest, so that nobody else can make one and none can be used for anything else.
 */
export class V1Sessions {
  readonly #tokens: SealedTokens;
  readonly #lifetimeSeconds: number;
  readonly #now: () => number;

  constructor(tokens: SealedTokens, lifetimeSeconds: number, now: () => number = Date.now) {
    this.#tokens = tokens;
    this.#lifetimeSeconds = lifetimeSeconds;
    this.#now = now;
  }

  /** The text of a token, as it follows `Token ` in headers. */
  issue(token: Omit<V1Token, 'expires'>): string {
    const { user, state, repository, access } = token;
    const exp = Math.floor(this.#now() / 1000) + this.#lifetimeSeconds;
    const signature = this.#tokens.seal({ exp, user, state, repository, access });
    return `signature=${signature},repository="${repository}",access=${access}`;
  }

  /** What a token says; undefined when we did not make it, it is out of date, or its open fields are not its own. */
  open(fields: V1TokenFields): V1Token | undefined {
    if (fields.signature === undefined) return undefined;
    const claims = this.#tokens.open(fields.signature, this.#now() / 1000);
    if (claims === undefined) return undefined;
    const { user, state, repository, access, exp } = claims;
    if (typeof repository !== 'string' || !isAccess(access)) return undefined;
    if (fields.repository !== repository || fields.access !== access) return undefined;
    return { user: textOf(user), state: textOf(state), repository, access, expires: exp * 1000 };
  }
}

/** Whether a token lets do this at all, whoever holds it. */
export function isWithin(
  { repository, access }: Pick<V1Token, 'repository' | 'access'>,
  wanted: Access,
): boolean {
  if (wanted.type !== 'repository' || wanted.name !== repository) return false;
  return ACTIONS[access].includes(wanted.action);
}

/** Whether `text` is a kind of access that tokens know. docker-registry let any other word pass. */
export function isAccess(text: unknown): text is V1Access {
  return typeof text === 'string' && Object.hasOwn(ACTIONS, text);
}

function textOf(claim: string | number | undefined): string | undefined {
  return typeof claim === 'string' ? claim : undefined;
}
