import { createPublicKey, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, FlattenedSign } from 'jose';
import { AcmeError, isObject, parseProblem, refusedBy, unreachable } from './problem.ts';

const REQUEST_MS = 30_000;
const NONCE_ATTEMPTS = 5;

/** An answer of the CA: JSON where it sent that, and the text in any case. */
export interface Answer {
  body: Record<string, unknown>;
  text: string;
  /** The Location header, absolute. */
  location: string | undefined;
  /** What Retry-After asks for. */
  retryAfterMs: number | undefined;
}

/**
 * Talks to one CA as the account of one P-256 key: signed requests, nonces, polling (RFC 8555 6 and 7.1-7.3). Every
 * method throws an AcmeError when the CA refuses, or can't be reached.
 */
export class AcmeClient {
  readonly #directoryUrl: string;
  readonly #key: KeyObject;
  readonly #signal: AbortSignal;
  #directory: Record<string, unknown> = {};
  #account: string | undefined;
  #nonce: string | undefined;

  private constructor(directoryUrl: string, key: KeyObject, signal: AbortSignal) {
    this.#directoryUrl = directoryUrl;
    this.#key = key;
    this.#signal = signal;
  }

  /** Finds the account of `key`, or makes it and accepts the terms of service. */
  static async open(
    directoryUrl: string,
    key: KeyObject,
    email: string | undefined,
    signal: AbortSignal,
  ): Promise<AcmeClient> {
    const client = new AcmeClient(directoryUrl, key, signal);
    client.#directory = (await client.#read(await client.#fetch(directoryUrl))).body;
    const { location } = await client.post(client.url('newAccount'), {
      termsOfServiceAgreed: true,
      ...(email !== undefined && { contact: [`mailto:${email}`] }),
    });
    if (location === undefined) throw client.#broken('gave an account no URL');
    client.#account = location;
    return client;
  }

  /** The URL of a resource of the directory (RFC 8555 7.1.1). */
  url(resource: 'newNonce' | 'newAccount' | 'newOrder'): string {
    const url = this.#directory[resource];
    if (typeof url === 'string') return url;
    throw new AcmeError(
      'malformed',
      `${this.#directoryUrl} is no ACME directory: it has no ${resource}; check http.tls.letsencrypt.directoryurl`,
    );
  }

  /** What proves that a challenge is answered by this account (RFC 8555 8.1). */
  async keyAuthorization(token: string): Promise<string> {
    return `${token}.${await calculateJwkThumbprint(createPublicKey(this.#key))}`;
  }

  /** Sends `payload` signed; without one, reads what is there (POST-as-GET). */
  async post(url: string, payload?: Record<string, unknown>): Promise<Answer> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#postOnce(url, payload);
      } catch (error) {
        // The nonce we had may have grown too old; the refusal brought a new one.
        const stale = error instanceof AcmeError && error.type === 'badNonce';
        if (!stale || attempt === NONCE_ATTEMPTS) throw error;
      }
    }
  }

  /** Reads `url` until `settled` holds, at the pace that the CA asks for, for at most `ms`. */
  async poll(
    url: string,
    settled: (body: Record<string, unknown>) => boolean,
    ms: number,
  ): Promise<Record<string, unknown>> {
    const end = Date.now() + ms;
    for (let pause = 500; ; pause = Math.min(pause * 1.5, 10_000)) {
      const { body, retryAfterMs } = await this.post(url);
      if (settled(body)) return body;
      if (Date.now() > end) throw this.#broken(`was not done with ${url} within ${ms / 1000} s`);
      await this.#pause(Math.min(retryAfterMs ?? pause, 30_000));
    }
  }

  async #postOnce(url: string, payload: Record<string, unknown> | undefined): Promise<Answer> {
    const nonce = this.#nonce ?? (await this.#newNonce());
    this.#nonce = undefined;
    const identity =
      this.#account === undefined
        ? { jwk: await exportJWK(createPublicKey(this.#key)) }
        : { kid: this.#account };
    const text = payload === undefined ? '' : JSON.stringify(payload);
    const body = await new FlattenedSign(new TextEncoder().encode(text))
      .setProtectedHeader({ alg: 'ES256', nonce, url, ...identity })
      .sign(this.#key);
    const response = await this.#fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/jose+json' },
      body: JSON.stringify(body),
    });
    return await this.#read(response);
  }

  async #newNonce(): Promise<string> {
    const response = await this.#fetch(this.url('newNonce'), { method: 'HEAD' });
    const nonce = response.headers.get('Replay-Nonce');
    if (nonce === null) throw this.#broken('gave no nonce');
    return nonce;
  }

  async #fetch(url: string, init: RequestInit = {}): Promise<Response> {
    try {
      const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(REQUEST_MS)]);
      const response = await fetch(url, { ...init, signal, redirect: 'error' });
      this.#nonce = response.headers.get('Replay-Nonce') ?? this.#nonce;
      return response;
    } catch (error) {
      throw unreachable(url, error);
    }
  }

  async #read(response: Response): Promise<Answer> {
    const text = await response.text().catch((error: unknown) => {
      throw unreachable(response.url, error);
    });
    const body = parseObject(text);
    const retryAfterMs = parseRetryAfter(response.headers.get('Retry-After'));
    if (!response.ok) {
      const problem = parseProblem(body ?? { detail: `status ${response.status}` });
      // A gateway in front of the CA, or the CA while it is being mended: as good as not there.
      const type = response.status >= 500 ? 'unreachable' : problem.type;
      throw refusedBy({ ...problem, type }, `the CA at ${response.url}`, retryAfterMs);
    }
    const location = response.headers.get('Location');
    return {
      body: body ?? {},
      text,
      location: location === null ? undefined : new URL(location, response.url).href,
      retryAfterMs,
    };
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const abort = () => {
        clearTimeout(timer);
        reject(new AcmeError('unreachable', 'the registry stops'));
      };
      const timer = setTimeout(() => {
        this.#signal.removeEventListener('abort', abort);
        resolve();
      }, ms);
      if (this.#signal.aborted) abort();
      else this.#signal.addEventListener('abort', abort, { once: true });
    });
  }

  #broken(what: string): AcmeError {
    return new AcmeError('malformed', `the CA of ${this.#directoryUrl} ${what}`);
  }
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Seconds, or a date. */
function parseRetryAfter(header: string | null): number | undefined {
  if (header === null) return undefined;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}
