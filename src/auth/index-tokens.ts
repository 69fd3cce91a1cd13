import {
  type Access,
  type AccessControl,
  type AccessRequest,
  ChallengeError,
  type Logger,
  registryError,
  type Session,
} from '../../protocols/registry.ts';
import { isRepositoryName } from '../../storage/names.ts';
import { CredentialCache } from './credential-cache.ts';
import { parseCredentials, type V1TokenFields } from './credentials.ts';
import { detailOf } from './grants.ts';
import { isAccess, isWithin, type V1Access } from './v1-sessions.ts';

const ANSWER_MS = 5000;
/** How long the index is taken at its word. */
const BELIEVED_MS = 60_000;
const LARGEST_ANSWER = 16 << 20;

interface IndexToken {
  repository: string;
  access: V1Access;
}

/** A token that the index calls good, with the images that it says are the repository's. */
interface GoodToken extends IndexToken {
  images: ReadonlySet<string>;
}

export interface IndexTokenParts {
  /** URL of the index, without a slash at its end. */
  endpoint: string;
  /** What decides about everything that is no V1 token; undefined: that is refused. */
  otherwise: AccessControl | undefined;
  log: Logger;
  /** Milliseconds until the index must have answered. Default 5000. */
  answerMs?: number;
  now?: () => number;
}

/**
 * docker-registry's `standalone: false`: an outside index gives out the V1 tokens, and is asked whether each is good
 * (v1.md 1.2). Unlike there, every token names its access, the index has seconds to answer, and is asked once a minute.
 */
export class IndexTokenAccess implements AccessControl {
  readonly accounts = true;
  readonly #parts: IndexTokenParts;
  readonly #known = new CredentialCache<GoodToken>();

  constructor(parts: IndexTokenParts) {
    this.#parts = parts;
  }

  authorize(request: AccessRequest, wanted: readonly Access[]): Session | Promise<Session> {
    const { authorization = '', protocol } = request;
    const credentials = parseCredentials(authorization);
    if (protocol === 'v2' || credentials.kind !== 'v1') return this.#otherwise(request, wanted);
    const [fields] = credentials.tokens;
    const token = fields && tokenOf(fields);
    if (token === undefined) throw challenge(wanted);
    const now = (this.#parts.now ?? Date.now)();
    const known = this.#known.resolve(authorization, now, async () => {
      const images = await this.#images(token, authorization);
      return images && { value: { ...token, images }, until: now + BELIEVED_MS };
    });
    return known instanceof Promise
      ? known.then((found) => settle(found, wanted))
      : settle(known, wanted);
  }

  #otherwise(request: AccessRequest, wanted: readonly Access[]): Session | Promise<Session> {
    const { otherwise } = this.#parts;
    if (otherwise) return otherwise.authorize(request, wanted);
    if (request.protocol === 'v1') throw challenge(wanted);
    throw registryError(
      'DENIED',
      'this registry takes V1 tokens of an index only; it has no accounts for V2',
    );
  }

  /** The repository's images, if the index takes the token. Throws UNAVAILABLE when it gives no answer. */
  async #images(
    { repository }: IndexToken,
    authorization: string,
  ): Promise<ReadonlySet<string> | undefined> {
    const url = `${this.#parts.endpoint}/v1/repositories/${repository}/images`;
    try {
      // A redirect would carry the client's credentials to another host.
      const answer = await fetch(url, {
        headers: { authorization, accept: 'application/json' },
        redirect: 'manual',
        signal: AbortSignal.timeout(this.#parts.answerMs ?? ANSWER_MS),
      });
      if (answer.status !== 200) {
        await answer.body?.cancel();
        if (answer.status >= 500) throw new Error(`status ${answer.status}`);
        return undefined;
      }
      return imagesIn(await readText(answer));
    } catch (error) {
      this.#parts.log.warn('the index did not answer', { url, error: String(error) });
      throw registryError('UNAVAILABLE', 'the index that checks tokens did not answer; try again', {
        cause: error,
      });
    }
  }
}

function tokenOf({ repository = '', access }: V1TokenFields): IndexToken | undefined {
  const twoParts = repository.split('/').length === 2 && isRepositoryName(repository);
  return twoParts && isAccess(access) ? { repository, access } : undefined;
}

function settle(token: GoodToken | undefined, wanted: readonly Access[]): Session {
  if (token === undefined) throw challenge(wanted);
  // In V1 the long form `library/x` and `x` are one repository; the route has found out which one is stored.
  const { repository: long, access, images } = token;
  const short = long.replace(/^library\//, '');
  const named = wanted.find((each) => each.type === 'repository' && each.name === long);
  const repository = named === undefined ? short : long;
  const session: Session = {
    user: undefined,
    repository,
    images,
    may: (each) => isWithin({ repository, access }, each),
  };
  if (!wanted.every((each) => session.may(each))) throw challenge(wanted);
  return session;
}

function challenge(wanted: readonly Access[]): ChallengeError {
  return new ChallengeError(
    'authentication required',
    { 'WWW-Authenticate': 'Token' },
    detailOf(wanted),
  );
}

async function readText(answer: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (answer.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > LARGEST_ANSWER) throw new Error(`more than ${LARGEST_ANSWER} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function imagesIn(text: string): ReadonlySet<string> | undefined {
  try {
    const list: unknown = JSON.parse(text);
    if (!Array.isArray(list)) return undefined;
    const ids: unknown[] = list.map((image) => image?.id);
    return ids.every((id) => typeof id === 'string') ? new Set(ids) : undefined;
  } catch {
    return undefined;
  }
}
