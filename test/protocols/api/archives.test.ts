import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import {
  type AccessControl,
  ChallengeError,
  type Registry,
  registryError,
} from '../../../protocols/registry.ts';
import { createHandler } from '../../../src/app.ts';
import { openAccess } from '../../../src/open-access.ts';
import { spoolsRoot } from '../../../storage/paths.ts';
import { tarBytes } from '../../support/archive-tar.ts';
import { type Answer, jsonOf, request } from '../../support/http-client.ts';
import { makeV1Chain, makeV2Image } from '../../support/images.ts';
import { memoryStore } from '../../support/stores.ts';
import { V2Client } from '../../support/v2-client.ts';

const image = makeV2Image({ seed: 71, layers: 3 });

interface Served {
  url: string;
  registry: Registry;
}

async function serve(context: TestContext, changes: Partial<Registry> = {}): Promise<Served> {
  const silent = { debug() {}, info() {}, warn() {}, error() {} };
  const registry: Registry = {
    content: memoryStore(context),
    access: openAccess,
    events: { emit: () => undefined },
    limits: { manifestBytes: 4e6, jsonBytes: 4e6, catalogPage: 100, tagsPage: 100 },
    urls: { host: undefined, prefix: '', relative: false },
    log: silent,
    readOnly: false,
    deletion: true,
    v1: { endpoints: undefined, standalone: true },
    ...changes,
  };
  const handler = createHandler(registry, { protocols: { v1: true, v2: true } });
  const server = createServer(handler);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, registry };
}

function put(url: string, body: Buffer): Promise<Answer> {
  return request(url, { method: 'PUT', headers: { 'content-type': 'application/x-tar' }, body });
}

const errorOf = (answer: Answer) =>
  jsonOf<{ error: { code: string; message: string } }>(answer).error;

describe('images as archives over HTTP', () => {
  for (const format of ['docker', 'oci']) {
    it(`backs up and restores an image in the format ${format}`, async (context) => {
      const { url } = await serve(context);
      await new V2Client(url).pushImage('team/app', 'v1', image);
      const got = await request(`${url}/api/images/team/app/v1.tar?format=${format}`);
      assert.equal(got.status, 200);
      assert.equal(got.headers['content-type'], 'application/x-tar');
      assert.equal(Number(got.headers['content-length']), got.body.length);
      const other = await serve(context);
      const answer = await put(`${other.url}/api/images/back/up/v1.0.tar`, got.body);
      assert.equal(answer.status, 201, answer.body.toString());
      const stored = jsonOf<{ name: string; tag: string; digest: string }>(answer);
      assert.deepEqual([stored.name, stored.tag], ['back/up', 'v1.0']);
      const manifest = await new V2Client(other.url).pullManifest('back/up', 'v1.0');
      assert.equal(manifest.digest, stored.digest);
      if (format === 'oci') assert.equal(stored.digest, image.digest);
    });
  }

  it('tells the size of an archive without sending it', async (context) => {
    const { url } = await serve(context);
    await new V2Client(url).pushImage('team/app', 'v1', image);
    const whole = await request(`${url}/api/images/team/app/v1.tar`);
    const head = await request(`${url}/api/images/team/app/v1.tar`, { method: 'HEAD' });
    assert.equal(Number(head.headers['content-length']), whole.body.length);
    assert.equal(head.body.length, 0);
  });

  it('restores what docker 1.5 saved, ids and all', async (context) => {
    const { url } = await serve(context);
    const [only] = makeV1Chain({ seed: 72, layers: 1 });
    const body = await tarBytes([
      [`${only?.id}/json`, only?.json ?? ''],
      [`${only?.id}/layer.tar`, only?.layer ?? ''],
      ['repositories', { whatever: { name: only?.id } }],
    ]);
    const answer = await put(`${url}/api/images/team/old/v1.tar`, body);
    assert.equal(answer.status, 201, answer.body.toString());
    assert.equal(jsonOf<{ imageId: string }>(answer).imageId, only?.id);
    const tag = await request(`${url}/v1/repositories/team/old/tags/v1`);
    assert.equal(jsonOf<string>(tag), only?.id);
  });

  const refusals: [what: string, method: string, path: string, status: number, code: string][] = [
    ['an unknown repository', 'GET', 'none/here/v1.tar', 404, 'NAME_UNKNOWN'],
    ['an unknown tag', 'GET', 'team/app/none.tar', 404, 'TAG_UNKNOWN'],
    ['an unknown format', 'GET', 'team/app/v1.tar?format=zip', 400, 'REQUEST_INVALID'],
    ['a platform that is none', 'GET', 'team/app/v1.tar?platform=arm64', 400, 'REQUEST_INVALID'],
    ['a path without .tar', 'GET', 'team/app/v1', 404, 'NOT_FOUND'],
    ['a name that is none', 'PUT', 'Team/app/v1.tar', 400, 'NAME_INVALID'],
    ['a tag that is none', 'PUT', 'team/app/-.tar', 400, 'TAG_INVALID'],
    ['a body that is no archive', 'PUT', 'team/app/v2.tar', 400, 'IMAGE_INVALID'],
    ['another method', 'POST', 'team/app/v1.tar', 405, 'METHOD_NOT_ALLOWED'],
  ];
  for (const [what, method, path, status, code] of refusals) {
    it(`refuses ${what}`, async (context) => {
      const { url } = await serve(context);
      await new V2Client(url).pushImage('team/app', 'v1', image);
      const body = method === 'GET' ? undefined : Buffer.alloc(300_000, 'x');
      const answer = await request(`${url}/api/images/${path}`, { method, body });
      assert.equal(answer.status, status, answer.body.toString());
      assert.equal(errorOf(answer).code, code);
    });
  }

  it('refuses to write when it is read-only', async (context) => {
    const { url } = await serve(context, { readOnly: true });
    assert.equal((await put(`${url}/api/images/a/v1.tar`, Buffer.from('x'))).status, 405);
  });

  it('asks the access control, for reading and writing', async (context) => {
    const asked: string[] = [];
    const access: AccessControl = {
      accounts: true,
      authorize(request, wanted) {
        asked.push(
          wanted
            .map((each) => (each.type === 'repository' ? `${each.name} ${each.action}` : ''))
            .join(),
        );
        if (request.authorization === undefined)
          throw new ChallengeError('log in', { 'WWW-Authenticate': 'Basic' });
        if (wanted.some((each) => each.type === 'repository' && each.action === 'push')) {
          throw registryError('DENIED', 'reading only');
        }
        return { user: 'reader', may: () => true };
      },
    };
    const { url } = await serve(context, { access });
    const anonymous = await request(`${url}/api/images/team/app/v1.tar`);
    assert.equal(anonymous.status, 401);
    assert.equal(anonymous.headers['www-authenticate'], 'Basic');
    const denied = await request(`${url}/api/images/team/app/v1.tar`, {
      method: 'PUT',
      headers: { authorization: 'Basic eA==' },
      body: Buffer.from('x'),
    });
    assert.equal(denied.status, 403);
    assert.deepEqual(asked, ['team/app pull', 'team/app pull,team/app push']);
  });

  it('keeps nothing of an upload that breaks off', async (context) => {
    const { url, registry } = await serve(context);
    const sending = httpRequest(`${url}/api/images/team/app/v1.tar`, { method: 'PUT' });
    sending.on('error', () => undefined);
    const body = await tarBytes([['big', Buffer.alloc(500_000, 1)]]);
    sending.write(body.subarray(0, 200_000));
    const spools = async () => {
      const names: string[] = [];
      for await (const name of registry.content.driver.list(spoolsRoot)) names.push(name);
      return names.length;
    };
    while ((await spools()) === 0) await new Promise((done) => setTimeout(done, 5));
    sending.destroy();
    for (const deadline = Date.now() + 5000; (await spools()) > 0 && Date.now() < deadline; ) {
      await new Promise((done) => setTimeout(done, 5));
    }
    assert.equal(await spools(), 0);
  });
});
