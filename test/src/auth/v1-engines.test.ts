import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import {
  ALL_ACTIONS,
  type AuthServer,
  basic,
  HTPASSWD,
  rule,
  settings,
  startAuthServer,
  temporaryFile,
} from '../../support/auth-registry.ts';
import { makeV1Chain } from '../../support/images.ts';
import { V1Client } from '../../support/v1-client.ts';
import type { EngineVersion } from '../../support/v1-engine.ts';
import { V1Error } from '../../support/v1-session.ts';

const ENGINES: EngineVersion[] = ['0.7.6', '1.5.0', '1.6.2', '1.9.1', '1.10.3', '1.13.1'];
const ANN = { username: 'ann', password: 'secret-ann' };
const BOB = { username: 'bob', password: 'secret-bob' };
const CAROL = { username: 'carol', password: 'secret-carol' };
const RULES = [
  rule({ repositories: ['open/*', 'ubuntu'], anonymous: true, actions: ['pull'] }),
  rule({ repositories: ['team/*'], users: ['ann'], actions: ['pull', 'push'] }),
  rule({ repositories: ['team/*'], users: ['bob'], actions: ['pull'] }),
  rule({ users: ['carol'], actions: ALL_ACTIONS }),
];

let server: AuthServer;

before(async () => {
  const path = temporaryFile('htpasswd', `${HTPASSWD.ann}\n${HTPASSWD.bob}\n${HTPASSWD.carol}\n`);
  const from = settings({ htpasswd: { path }, rules: RULES });
  server = await startAuthServer(from, undefined, { v1: true, v2: false });
});

const chain = (seed: number) => makeV1Chain({ seed, layers: 2 });

async function refusalOf(attempt: Promise<unknown>): Promise<number | undefined> {
  try {
    await attempt;
    return undefined;
  } catch (error) {
    assert.ok(error instanceof V1Error, String(error));
    return error.status;
  }
}

for (const [at, version] of ENGINES.entries()) {
  describe(`docker ${version} at a registry with accounts`, () => {
    const client = (who?: typeof ANN) => new V1Client(server.url, version, who);
    const name = `team/app-${at}`;
    const images = chain(at + 1);

    it('logs in with the right password only', async () => {
      assert.equal(await client().login(ANN), 'Login Succeeded');
      assert.equal(await refusalOf(client().login({ ...ANN, password: 'wrong' })), 401);
      assert.equal(await refusalOf(client().login({ username: 'who', password: 'x' })), 401);
    });

    it('pushes and pulls with the token that it is given', async () => {
      await client(ANN).push(name, 'v1', images);
      for (const who of [ANN, BOB, CAROL]) {
        const pulled = await client(who).pull(name, 'v1');
        assert.deepEqual(
          pulled.images.map(({ id }) => id),
          images.map(({ id }) => id),
        );
      }
    });

    it('is refused what the rules do not grant', async () => {
      assert.equal(await refusalOf(client(BOB).push(name, 'v2', images)), 403);
      assert.equal(await refusalOf(client().push(name, 'v2', images)), 401);
      assert.equal(await refusalOf(client().pull(name, 'v1')), 401);
      assert.equal(await refusalOf(client({ ...ANN, password: 'x' }).pull(name, 'v1')), 401);
    });

    it('pulls what is open without a login', async () => {
      const open = `open/app-${at}`;
      await client(CAROL).push(open, 'v1', chain(at + 101));
      assert.equal((await client().pull(open, 'v1')).images.length, 2);
    });
  });
}

describe('an image of V1 behind accounts', () => {
  const images = chain(1000);
  const path = `/v1/images/${images.at(-1)?.id}/json`;

  before(async () => {
    await new V1Client(server.url, '1.5.0', CAROL).push('secret/app', 'v1', images);
  });

  const status = async (authorization?: string) => {
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
    const answer = await fetch(server.url + path, { headers });
    await answer.body?.cancel();
    return answer.status;
  };
  const tokenOf = async (repository: string, authorization?: string) => {
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
    const answer = await fetch(`${server.url}/v1/repositories/${repository}/images`, { headers });
    return answer.headers.get('x-docker-token') ?? '';
  };

  it('is read by those who may pull a repository that holds it', async () => {
    assert.equal(await status(basic('carol')), 200);
    const token = await tokenOf('secret/app', basic('carol'));
    assert.match(token, /^Token signature=/);
    for (const form of [token, `Token ${token}`]) assert.equal(await status(form), 200);
  });

  it('is hidden from everybody else, and from tokens of other repositories', async () => {
    assert.equal(await status(basic('ann')), 404);
    assert.equal(await status(), 404);
    await new V1Client(server.url, '1.5.0', CAROL).push('open/other', 'v1', chain(1001));
    for (const who of [undefined, basic('ann'), basic('bob')]) {
      const token = await tokenOf('open/other', who);
      assert.match(token, /^Token signature=/);
      assert.equal(await status(token), 404, who);
    }
  });

  it('is not read with a token that was changed to name its repository', async () => {
    const token = await tokenOf('open/other', basic('ann'));
    assert.equal(await status(token.replace('open/other', 'secret/app')), 401);
  });
});

describe('V1 and V2 of one registry with accounts', () => {
  it('tells who guesses over V1 when to come again, and V2 counts with it', async () => {
    const path = temporaryFile('htpasswd', `${HTPASSWD.ann}\n`);
    const both = await startAuthServer(settings({ htpasswd: { path }, failuresPerMinute: 1 }));
    const ask = (where: string, password: string) =>
      fetch(both.url + where, { headers: { authorization: basic('ann', password) } });
    assert.equal((await ask('/v1/users/', 'wrong')).status, 401);
    for (const where of ['/v1/users/', '/v2/']) {
      const answer = await ask(where, 'secret-ann');
      assert.equal(answer.status, 429, where);
      assert.ok(Number(answer.headers.get('retry-after')) > 0, where);
    }
  });

  it("takes our endpoint's Bearer tokens for docker search of today", async () => {
    const path = temporaryFile('htpasswd', `${HTPASSWD.ann}\n`);
    const both = await startAuthServer(settings({ htpasswd: { path } }));
    const url = `${both.url}/auth/token?scope=registry:catalog:*`;
    const answer = await fetch(url, { headers: { authorization: basic('ann') } });
    const { token } = (await answer.json()) as { token: string };
    const search = (headers: Record<string, string>) =>
      fetch(`${both.url}/v1/search?q=app&n=25`, { headers });
    assert.equal((await search({ authorization: `Bearer ${token}` })).status, 200);
    assert.equal((await search({ authorization: basic('ann') })).status, 200);
    assert.equal((await search({})).status, 401);
  });
});
