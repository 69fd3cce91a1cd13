import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import {
  type Access,
  type AccessControl,
  ChallengeError,
  registryError,
} from '../../../protocols/registry.ts';
import { type Answer, check, headerOf, jsonOf, send } from '../../support/http-row.ts';
import { type Described, image, Pusher, randomBlob } from '../../support/oci-content.ts';
import { startServer, useServer } from '../../support/server.ts';

/** Grants what stands in the Authorization header, as `repository:action` words; `root` may do everything. */
const wordAccess: AccessControl = {
  accounts: true,
  authorize({ authorization }, wanted) {
    const words = new Set((authorization ?? '').split(' '));
    const may = (access: Access): boolean =>
      words.has('root') ||
      (access.type === 'catalog'
        ? words.has('catalog')
        : words.has(`${access.name}:${access.action}`));
    if (wanted.every(may) && words.size > 0 && authorization) {
      return { user: 'someone', may };
    }
    if (authorization) throw registryError('DENIED', 'requested access to the resource is denied');
    const scope = wanted.map((one) =>
      one.type === 'catalog' ? 'catalog' : `${one.name}:${one.action}`,
    );
    throw new ChallengeError(
      'authentication required',
      { 'WWW-Authenticate': `Bearer realm="r",scope="${scope.join(' ')}"` },
      null,
    );
  },
};

describe('access to V2', () => {
  const server = useServer({ access: wordAccess });
  let secret: Described;
  const as = (authorization: string, method = 'GET') => ({
    method,
    headers: { authorization },
  });

  before(async () => {
    const loader = await startServer({ storage: server.driver });
    const push = new Pusher(() => loader.url);
    await push.image('private/one', image(), 'latest');
    await push.image('public/one', image(), 'latest');
    secret = await push.blob('private/one', randomBlob());
    await loader.close();
  });

  it('challenges a client without credentials, with the version header', async () => {
    const answer = await send(`${server.url}/v2/`);
    check(answer, {
      status: 401,
      code: 'UNAUTHORIZED',
      headers: {
        'docker-distribution-api-version': 'registry/2.0',
        'www-authenticate': /^Bearer realm/,
        'content-type': 'application/json',
      },
    });
    assert.equal(jsonOf<{ errors: { detail: unknown }[] }>(answer).errors[0]?.detail, null);
  });

  it('names in the challenge what the request needs', async () => {
    const scope = async (path: string, method = 'GET'): Promise<string> =>
      /scope="(.*)"/.exec(
        headerOf(await send(server.url + path, { method }), 'www-authenticate'),
      )?.[1] ?? '';
    assert.equal(await scope('/v2/a/manifests/x'), 'a:pull');
    assert.equal(await scope('/v2/a/tags/list'), 'a:pull');
    assert.equal(await scope('/v2/a/blobs/uploads/', 'POST'), 'a:pull a:push');
    assert.equal(await scope('/v2/a/manifests/x', 'DELETE'), 'a:delete');
    assert.equal(await scope('/v2/_catalog'), 'catalog');
    const mount = `/v2/a/blobs/uploads/?mount=${secret.digest}&from=private/one`;
    assert.equal(await scope(mount, 'POST'), 'a:pull a:push private/one:pull');
  });

  it('denies what the session may not do', async () => {
    const url = `${server.url}/v2/private/one/manifests/latest`;
    check(await send(url, as('public/one:pull')), { status: 403, code: 'DENIED' });
    check(await send(url, as('private/one:pull')), { status: 200 });
  });

  it('mounts only from where the session may pull, and says nothing of the rest', async () => {
    const mount = (words: string, query: string): Promise<Answer> =>
      send(
        `${server.url}/v2/mine/blobs/uploads/?mount=${secret.digest}${query}`,
        as(`mine:pull mine:push ${words}`, 'POST'),
      );
    const opened = { status: 202, headers: { location: /uploads/, 'docker-content-digest': null } };
    check(await mount('', '&from=private/one'), opened);
    check(await mount('public/one:pull', '&from=private/one'), opened);
    check(await mount('public/one:pull', ''), opened);
    check(await send(`${server.url}/v2/mine/blobs/${secret.digest}`, as('mine:pull')), {
      status: 404,
    });
    check(await mount('private/one:pull', ''), { status: 201 });
    check(await send(`${server.url}/v2/mine/blobs/${secret.digest}`, as('mine:pull')), {
      status: 200,
      body: secret.bytes,
    });
  });

  it('shows in the catalog what the session may pull, with true pages', async () => {
    const answer = await send(`${server.url}/v2/_catalog?n=1`, as('catalog public/one:pull'));
    check(answer, {
      status: 200,
      json: { repositories: ['public/one'] },
      headers: { link: null },
    });
    check(await send(`${server.url}/v2/_catalog`, as('public/one:pull')), { status: 403 });
  });

  it('reports pushes, pulls, mounts and deletes with who did them', async () => {
    server.events.length = 0;
    const url = `${server.url}/v2/public/one/manifests/latest`;
    check(await send(url, as('root')), { status: 200 });
    check(await send(url, as('root', 'DELETE')), { status: 202 });
    const [pull, drop] = server.events;
    assert.equal(pull?.action, 'pull');
    assert.equal(pull?.user, 'someone');
    assert.equal(pull?.tag, 'latest');
    assert.equal(drop?.action, 'delete');
    assert.equal(drop?.target.digest, pull?.target.digest);
  });
});
