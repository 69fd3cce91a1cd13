import { header, jsonOf } from './http-client.ts';
import { type EngineVersion, engineOf } from './v1-engine.ts';
import { type PulledImage, type PullOptions, pullImage } from './v1-pull.ts';
import { type PushedImage, type PushOptions, type PushReport, pushImage } from './v1-push.ts';
import { basicOf, type Credentials, errorTextOf, V1Error, V1Session } from './v1-session.ts';

interface SearchResult {
  name: string;
  description: string;
}

/**
 * A docker engine as the registry sees it: the request sequences of 0.7, 1.5, 1.6, 1.9, 1.10 and 1.13 over V1, with
 * every answer checked as strictly as that engine checks it (v1.md 2, v1-clients.md).
 */
export class V1Client {
  readonly #base: string;
  readonly #version: EngineVersion;
  readonly #credentials: Credentials | undefined;

  /** `base` is `http://HOST:PORT`. */
  constructor(base: string, version: EngineVersion = '1.5.0', credentials?: Credentials) {
    this.#base = base;
    this.#version = version;
    this.#credentials = credentials;
  }

  /** Pushes a chain, base first, and tags its top. */
  async push(
    name: string,
    tag: string,
    images: readonly PushedImage[],
    options: PushOptions = {},
  ): Promise<PushReport> {
    const session = this.#session();
    await knock(session, options.v2 === 'off' ? undefined : 'push');
    return pushImage(session, name, tag, images, options);
  }

  /** Pulls a tag, walking from its top to the base; the images come base first. */
  async pull(name: string, tag: string, options: PullOptions = {}): Promise<PulledImage> {
    const session = this.#session();
    const asked = await knock(session, 'pull');
    if (asked) await fallBack(session, name, tag);
    return pullImage(session, name, tag, options);
  }

  /** Logs in; gives what the engine prints. Throws when the registry refuses. */
  async login(credentials: Credentials & { email?: string }): Promise<string> {
    const session = this.#session();
    await session.ping('/v2/');
    await pingV1(session);
    const { username, password, email = 'user@example.test' } = credentials;
    const { registerAgent } = session.engine;
    if (registerAgent !== undefined) {
      const answer = await session.ping('/v1/users/', {
        method: 'POST',
        headers: {
          'user-agent': registerAgent,
          'content-type': 'application/json; charset=utf-8',
        },
        body: JSON.stringify({ username, password, auth: '', email }),
      });
      if (answer.status === 201) return 'Account created';
      const exists = answer.body.toString() === '"Username or email already exists"';
      if (answer.status !== 401 && !(answer.status === 400 && exists)) {
        throw new V1Error(`Registration: ${errorTextOf(answer)}`, answer.status);
      }
    }
    const answer = await session.ping('/v1/users/', {
      headers: {
        'user-agent': session.engine.userAgent,
        authorization: basicOf(credentials),
      },
    });
    if (answer.status === 200) return 'Login Succeeded';
    if (answer.status === 401) throw new V1Error('Wrong login/password, please try again', 401);
    throw new V1Error(`Login: ${errorTextOf(answer)}`, answer.status);
  }

  /** `docker search`. */
  async search(term: string): Promise<SearchResult[]> {
    const session = this.#session();
    await pingV1(session);
    const count = session.engine.searchesWithCount ? '&n=25' : '';
    const answer = await session.index(`/v1/search?q=${encodeURIComponent(term)}${count}`);
    if (answer.status !== 200) throw new V1Error('Unexpected status of a search', answer.status);
    const found = jsonOf<{ query: string; num_results: number; results: SearchResult[] }>(answer);
    if (found.query !== term || found.num_results !== found.results.length) {
      throw new V1Error(`a search for ${term} was answered with ${JSON.stringify(found)}`);
    }
    return found.results;
  }

  #session(): V1Session {
    return new V1Session(this.#base, engineOf(this.#version), this.#credentials);
  }
}

/** The pings before a push or pull. True: `/v2/` looks like V2, so the engine takes V2 first (v1-clients.md, last table). */
async function knock(session: V1Session, doing: 'push' | 'pull' | undefined): Promise<boolean> {
  const { engine } = session;
  let confirmed = false;
  if (engine.asksV2) {
    const answer = await session.ping('/v2/');
    const version = header(answer.headers, 'docker-distribution-api-version') ?? '';
    confirmed = version.split(/\s+/).includes('registry/2.0');
  }
  if (confirmed && engine.version === '1.5.0') {
    throw new V1Error('docker 1.5 was shown V2, whose draft it speaks: its pushes would fail');
  }
  if (confirmed && doing === 'push') {
    throw new V1Error(`docker ${engine.version} would push over V2 here`);
  }
  if (engine.pings) await pingV1(session);
  return doing === 'pull' && (confirmed || engine.triesV2Anyway);
}

async function pingV1(session: V1Session): Promise<void> {
  const answer = await session.ping('/v1/_ping');
  if (answer.status < 200 || answer.status > 299) {
    throw new V1Error('This does not look like a registry', answer.status);
  }
  if (session.engine.ancient && header(answer.headers, 'x-docker-registry-version') === undefined) {
    throw new V1Error('Invalid registry: _ping has no X-Docker-Registry-Version');
  }
}

/** What 1.6 to 1.13 ask over V2 first; only an error with a code that means "not here" lets them go on to V1. */
async function fallBack(session: V1Session, name: string, tag: string): Promise<void> {
  const answer = await session.ping(`/v2/${name}/manifests/${tag}`);
  if (answer.status === 200) {
    throw new V1Error(`docker ${session.engine.version} would pull ${name}:${tag} over V2 here`);
  }
  const version = header(answer.headers, 'docker-distribution-api-version');
  if (version === undefined) return;
  const codes = (jsonOf<{ errors?: { code: string }[] }>(answer).errors ?? []).map((e) => e.code);
  const lifting = ['MANIFEST_UNKNOWN', 'UNAUTHORIZED'];
  if (session.engine.triesV2Anyway) lifting.push('NAME_UNKNOWN');
  if (!codes.some((code) => lifting.includes(code))) {
    throw new V1Error(`no way from V2 to V1 with the error codes [${codes}]`, answer.status);
  }
}
