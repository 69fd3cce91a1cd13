import { LRUCache } from 'lru-cache';
import { type Logger, registryError } from '../../protocols/registry.ts';
import { RegistryError } from '../../storage/errors.ts';
import type { RepositoryName } from '../../storage/names.ts';
import { version } from '../version.ts';

export interface UpstreamOptions {
  /** URL of the registry, without a slash at its end. */
  source: string;
  /** URL of its index. */
  sourceIndex: string;
  /** Our own, never those of a client (v1.md B22). */
  credentials: { username: string; password: string } | undefined;
  log: Logger;
  /** Milliseconds until an answer must begin. Default 10,000. */
  headMs?: number;
  /** Milliseconds that a body may pause. Default 30,000. */
  idleMs?: number;
  /** Milliseconds that nothing is asked after upstream did not answer; doubled up to a minute. Default 5,000. */
  restMs?: number;
}

/** Which of upstream's two servers is asked. */
export type Role = 'source' | 'index';

export interface Question {
  headers?: Record<string, string>;
  /** Repositories through which upstream may answer, where it wants tokens; asked for only then. */
  through?(): Promise<readonly RepositoryName[]>;
}

/** An answer whose body has not been read; the caller reads or drops it. */
export interface UpstreamAnswer {
  status: number;
  headers: Headers;
  /** Fails when the body pauses for too long or breaks off. */
  body(): AsyncIterable<Uint8Array>;
  drop(): void;
}

/** Most bytes of an answer that is kept in memory. */
const LARGEST_SMALL = 16 << 20;
const LONGEST_REST_MS = 60_000;
/** Repositories that are tried for an image that several have. */
const MOST_TRIED = 3;

/** Asks an upstream V1 registry, with time limits on everything; one that is down is left alone for a while. */
export class UpstreamClient {
  readonly #options: UpstreamOptions;
  readonly #basic: string | undefined;
  readonly #closing = new AbortController();
  /** Tokens of upstream's index, without the scheme. */
  readonly #tokens = new LRUCache<RepositoryName, string>({ max: 5000 });
  #wantsTokens = false;
  #restUntil = 0;
  #failures = 0;

  constructor(options: UpstreamOptions) {
    this.#options = options;
    const { credentials } = options;
    this.#basic =
      credentials &&
      `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`;
  }

  /** Whether upstream was seen to answer by tokens of its index only. */
  get wantsTokens(): boolean {
    return this.#wantsTokens;
  }

  /** Whole, for what is small; undefined where upstream has nothing for us. Throws UNAVAILABLE. */
  async get(
    role: Role,
    path: string,
    question?: Question,
  ): Promise<{ headers: Headers; body: Buffer } | undefined> {
    return this.#whole(path, await this.open(role, path, question));
  }

  /** The index's list of a repository's images. It comes with a token for the rest of a pull (v1.md 2.2). */
  async list(name: RepositoryName): Promise<Buffer | undefined> {
    const path = `/v1/repositories/${name}/images`;
    const answer = await this.open('index', path, { headers: { 'x-docker-token': 'true' } });
    this.#remember(name, answer?.headers);
    return (await this.#whole(path, answer))?.body;
  }

  /** The answer once it begins; undefined where upstream has nothing for us. Throws UNAVAILABLE. */
  async open(
    role: Role,
    path: string,
    { headers = {}, through }: Question = {},
  ): Promise<UpstreamAnswer | undefined> {
    const byToken = role === 'source' ? through : undefined;
    if (this.#wantsTokens && byToken) {
      const answer = await this.#openByToken(path, headers, await byToken());
      if (answer) return this.#judged(path, answer);
    }
    const answer = await this.#ask(role, path, headers, this.#basic);
    if (answer.status === 401 && byToken && !this.#wantsTokens) {
      const other = await this.#openByToken(path, headers, await byToken());
      if (other) {
        answer.drop();
        return this.#judged(path, other);
      }
    }
    return this.#judged(path, answer);
  }

  /** Ends everything that is under way. */
  close(): void {
    this.#closing.abort(new Error('the mirror is closed'));
  }

  /** Engines go from the index to a registry with a token, which speaks for one repository and for a time. */
  async #openByToken(
    path: string,
    headers: Record<string, string>,
    names: readonly RepositoryName[],
  ): Promise<UpstreamAnswer | undefined> {
    for (const name of names.slice(0, MOST_TRIED)) {
      for (const token of [this.#tokens.get(name), undefined]) {
        const current = token ?? (await this.#newToken(name));
        if (current === undefined) break;
        const answer = await this.#ask('source', path, headers, `Token ${current}`);
        if (answer.status === 200 || answer.status === 206 || answer.status >= 500) {
          this.#wantsTokens = true;
          return answer;
        }
        answer.drop();
        if (answer.status !== 401) break;
      }
    }
    return undefined;
  }

  async #newToken(name: RepositoryName): Promise<string | undefined> {
    const path = `/v1/repositories/${name}/images`;
    const answer = await this.#ask('index', path, { 'x-docker-token': 'true' }, this.#basic);
    answer.drop();
    return this.#remember(name, answer.headers);
  }

  /** docker-registry puts the scheme before its token, the old Hub did not. */
  #remember(name: RepositoryName, headers: Headers | undefined): string | undefined {
    const token = headers?.get('x-docker-token')?.replace(/^token\s+/i, '');
    if (token) this.#tokens.set(name, token);
    return token || undefined;
  }

  async #ask(
    role: Role,
    path: string,
    headers: Record<string, string>,
    authorization: string | undefined,
  ): Promise<UpstreamAnswer> {
    const { source, sourceIndex, headMs = 10_000, idleMs = 30_000 } = this.#options;
    if (Date.now() < this.#restUntil) throw this.#unavailable(path, 'it did not answer before');
    const limit = new TimeLimit(this.#closing.signal);
    try {
      limit.within(headMs);
      const answer = await fetch((role === 'index' ? sourceIndex : source) + path, {
        headers: {
          'user-agent': `isthmus/${version()}`,
          // The bytes of JSON and layers are hashed as they are.
          'accept-encoding': 'identity',
          ...(authorization !== undefined && { authorization }),
          ...headers,
        },
        signal: limit.signal,
      });
      this.#failures = 0;
      return {
        status: answer.status,
        headers: answer.headers,
        body: () => paced(answer, limit, idleMs),
        drop: () => void answer.body?.cancel().catch(() => undefined),
      };
    } catch (error) {
      this.#rest();
      throw this.#unavailable(path, error);
    } finally {
      limit.end();
    }
  }

  /** What upstream has for us; undefined for nothing. Throws UNAVAILABLE. */
  #judged(path: string, answer: UpstreamAnswer): UpstreamAnswer | undefined {
    const { status } = answer;
    if (status === 200 || status === 206) return answer;
    answer.drop();
    if (status >= 500 || status === 429) throw this.#unavailable(path, `status ${status}`);
    if (status === 401 || status === 403) {
      this.#options.log.warn('the mirrored registry refuses us', { path, status });
    }
    return undefined;
  }

  async #whole(
    path: string,
    answer: UpstreamAnswer | undefined,
  ): Promise<{ headers: Headers; body: Buffer } | undefined> {
    if (!answer) return undefined;
    const chunks: Uint8Array[] = [];
    let size = 0;
    try {
      for await (const chunk of answer.body()) {
        size += chunk.length;
        if (size > LARGEST_SMALL) throw new Error(`more than ${LARGEST_SMALL} bytes`);
        chunks.push(chunk);
      }
    } catch (error) {
      throw this.#unavailable(path, error);
    }
    return { headers: answer.headers, body: Buffer.concat(chunks) };
  }

  #rest(): void {
    const { restMs = 5000 } = this.#options;
    this.#restUntil = Date.now() + Math.min(restMs * 2 ** this.#failures, LONGEST_REST_MS);
    this.#failures += 1;
  }

  #unavailable(path: string, error: unknown) {
    const { cause } = error as { cause?: unknown };
    this.#options.log.warn('the mirrored registry did not answer', {
      path,
      reason: cause === undefined ? String(error) : `${error}: ${cause}`,
    });
    return registryError('UNAVAILABLE', 'the mirrored registry did not answer; try again later', {
      cause: error,
    });
  }
}

/** Whether this is the error of an upstream that does not answer. */
export function isUnavailable(error: unknown): boolean {
  return error instanceof RegistryError && error.code === 'UNAVAILABLE';
}

/** Ends a request when a wait takes too long, or when everything ends. */
class TimeLimit {
  readonly signal: AbortSignal;
  readonly #own = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  constructor(closing: AbortSignal) {
    this.signal = AbortSignal.any([this.#own.signal, closing]);
  }

  within(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#own.abort(new Error(`nothing came for ${ms} ms`)), ms);
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

async function* paced(
  answer: Response,
  limit: TimeLimit,
  idleMs: number,
): AsyncGenerator<Uint8Array> {
  if (!answer.body) return;
  try {
    limit.within(idleMs);
    for await (const chunk of answer.body as AsyncIterable<Uint8Array>) {
      limit.end();
      yield chunk;
      limit.within(idleMs);
    }
  } finally {
    limit.end();
  }
}
