import { type Logger, registryError } from '../../protocols/registry.ts';
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

/** Asks an upstream V1 registry, with time limits on everything; one that is down is left alone for a while. */
export class UpstreamClient {
  readonly #options: UpstreamOptions;
  readonly #headers: Record<string, string>;
  readonly #closing = new AbortController();
  #restUntil = 0;
  #failures = 0;

  constructor(options: UpstreamOptions) {
    this.#options = options;
    const { credentials } = options;
    this.#headers = {
      'user-agent': `isthmus/${version()}`,
      // The bytes of JSON and layers are hashed as they are.
      'accept-encoding': 'identity',
      ...(credentials && {
        authorization: `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`,
      }),
    };
  }

  /** Whole, for what is small; undefined where upstream has nothing for us. Throws UNAVAILABLE. */
  async get(role: Role, path: string): Promise<{ headers: Headers; body: Buffer } | undefined> {
    const answer = await this.open(role, path);
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

  /** The answer once it begins; undefined where upstream has nothing for us. Throws UNAVAILABLE. */
  async open(
    role: Role,
    path: string,
    headers: Record<string, string> = {},
  ): Promise<UpstreamAnswer | undefined> {
    const { source, sourceIndex, log, headMs = 10_000, idleMs = 30_000 } = this.#options;
    if (Date.now() < this.#restUntil) throw this.#unavailable(path, 'it did not answer before');
    const limit = new TimeLimit(this.#closing.signal);
    let answer: Response;
    try {
      limit.within(headMs);
      answer = await fetch((role === 'index' ? sourceIndex : source) + path, {
        headers: { ...this.#headers, ...headers },
        signal: limit.signal,
      });
      this.#failures = 0;
    } catch (error) {
      this.#rest();
      throw this.#unavailable(path, error);
    } finally {
      limit.end();
    }
    const drop = () => void answer.body?.cancel().catch(() => undefined);
    if (answer.status !== 200 && answer.status !== 206) {
      drop();
      if (answer.status >= 500 || answer.status === 429) {
        throw this.#unavailable(path, `status ${answer.status}`);
      }
      if (answer.status === 401 || answer.status === 403) {
        log.warn('the mirrored registry refuses us', { path, status: answer.status });
      }
      return undefined;
    }
    return {
      status: answer.status,
      headers: answer.headers,
      body: () => paced(answer, limit, idleMs),
      drop,
    };
  }

  /** Ends everything that is under way. */
  close(): void {
    this.#closing.abort(new Error('the mirror is closed'));
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
