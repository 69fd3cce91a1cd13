import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type Access, ChallengeError } from '../../../protocols/registry.ts';
import { createAccessControl } from '../../../src/auth/create-access-control.ts';
import { IndexTokenAccess } from '../../../src/auth/index-tokens.ts';
import { RegistryError } from '../../../storage/errors.ts';
import {
  basic,
  HTPASSWD,
  memory,
  recordingLog,
  request,
  settings,
  temporaryFile,
} from '../../support/auth-registry.ts';

type Answer = (response: ServerResponse) => void;

const good: Answer = (response) => response.end('[{"id":"a"},{"id":"b"}]');
const seen: { url: string | undefined; authorization: string | undefined }[] = [];
let answer: Answer = good;
const clock = { now: 1_800_000_000_000 };

const index = createServer((incoming: IncomingMessage, response: ServerResponse) => {
  seen.push({ url: incoming.url, authorization: incoming.headers.authorization });
  answer(response);
});
let endpoint = '';

before(async () => {
  index.listen(0, '127.0.0.1');
  await once(index, 'listening');
  endpoint = `http://127.0.0.1:${(index.address() as AddressInfo).port}`;
});
after(() => {
  index.close();
  index.closeAllConnections();
});
beforeEach(() => {
  seen.length = 0;
  answer = good;
});

const control = () =>
  new IndexTokenAccess({
    endpoint,
    otherwise: undefined,
    log: recordingLog(),
    answerMs: 200,
    now: () => clock.now,
  });
const token = (access: string, repository = 'team/app') =>
  `Token signature=XYZ,repository="${repository}",access=${access}`;
const on = (name: string, action: 'pull' | 'push' | 'delete'): Access[] => [
  { type: 'repository', name, action },
];

async function codeOf(attempt: () => unknown): Promise<string> {
  try {
    await attempt();
    return 'passed';
  } catch (error) {
    assert.ok(error instanceof RegistryError, String(error));
    if (error instanceof ChallengeError) assert.equal(error.headers['WWW-Authenticate'], 'Token');
    return error.code;
  }
}

describe('a token of an outside index', () => {
  it('is shown to the index as it came, and believed for a minute', async () => {
    const access = control();
    const read = request('v1', token('read'));
    const session = await access.authorize(read, on('team/app', 'pull'));
    assert.equal(session.repository, 'team/app');
    assert.deepEqual(seen, [
      { url: '/v1/repositories/team/app/images', authorization: token('read') },
    ]);
    assert.ok(!(access.authorize(read, []) instanceof Promise));
    assert.equal(seen.length, 1);
    clock.now += 60_001;
    await access.authorize(read, []);
    assert.equal(seen.length, 2);
  });

  const rows: [access: string, wanted: Access[], expected: string][] = [
    ['read', on('team/app', 'pull'), 'passed'],
    ['read', on('team/app', 'push'), 'UNAUTHORIZED'],
    ['write', on('team/app', 'push'), 'passed'],
    ['write', on('team/app', 'pull'), 'passed'],
    ['write', on('team/app', 'delete'), 'UNAUTHORIZED'],
    ['delete', on('team/app', 'delete'), 'passed'],
    ['read', on('team/other', 'pull'), 'UNAUTHORIZED'],
    ['read', [{ type: 'catalog' }], 'UNAUTHORIZED'],
    ['everything', on('team/app', 'pull'), 'UNAUTHORIZED'],
    ['', on('team/app', 'pull'), 'UNAUTHORIZED'],
  ];
  for (const [access, wanted, expected] of rows) {
    it(`with access "${access}" for ${JSON.stringify(wanted)}: ${expected}`, async () => {
      const from = request('v1', token(access));
      assert.equal(await codeOf(() => control().authorize(from, wanted)), expected);
    });
  }

  it('without access, or without a repository of two parts, never reaches the index', async () => {
    const headers = [
      'Token signature=XYZ,repository="team/app"',
      'Token signature=XYZ,access=read',
      token('read', 'app'),
      token('read', 'a/b/c'),
      token('read', '../users'),
      token('read', 'a/b?x'),
    ];
    for (const header of headers) {
      const code = await codeOf(() => control().authorize(request('v1', header), []));
      assert.equal(code, 'UNAUTHORIZED', header);
    }
    assert.deepEqual(seen, []);
  });

  it('for library/x is good for x, by whichever name it is stored', async () => {
    const from = request('v1', token('read', 'library/ubuntu'));
    for (const name of ['ubuntu', 'library/ubuntu']) {
      const session = await control().authorize(from, on(name, 'pull'));
      assert.equal(session.repository, name);
    }
    assert.equal((await control().authorize(from, [])).repository, 'ubuntu');
  });

  const answers: [what: string, answer: Answer, code: string][] = [
    ['401', (response) => response.writeHead(401).end(), 'UNAUTHORIZED'],
    ['404', (response) => response.writeHead(404).end(), 'UNAUTHORIZED'],
    ['a redirect', (response) => response.writeHead(302, { location: '/x' }).end(), 'UNAUTHORIZED'],
    ['something that is no list', (response) => response.end('{}'), 'UNAUTHORIZED'],
    ['a list of something else', (response) => response.end('["a"]'), 'UNAUTHORIZED'],
    ['HTML', (response) => response.end('<html>'), 'UNAUTHORIZED'],
    ['500', (response) => response.writeHead(500).end(), 'UNAVAILABLE'],
    ['nothing', () => undefined, 'UNAVAILABLE'],
    ['half a body', (response) => void response.write('[{"id":'), 'UNAVAILABLE'],
    ['a broken connection', (response) => response.destroy(), 'UNAVAILABLE'],
  ];
  for (const [what, given, code] of answers) {
    it(`is refused with ${code} when the index answers ${what}, and asked about again`, async () => {
      answer = given;
      const access = control();
      const from = request('v1', token('read'));
      assert.equal(await codeOf(() => access.authorize(from, [])), code);
      answer = good;
      assert.equal(await codeOf(() => access.authorize(from, [])), 'passed');
    });
  }
});

describe('a registry that is not standalone', () => {
  const notStandalone = () => ({ standalone: false, indexEndpoint: `${endpoint}/` });

  it('asks the index about V1 tokens, and is closed to everything else', async () => {
    const log = recordingLog();
    const access = await createAccessControl(settings({}, notStandalone()), memory(), log);
    assert.equal(access.accounts, true);
    assert.equal(await codeOf(() => access.authorize(request('v1', token('read')), [])), 'passed');
    assert.equal(seen[0]?.url, '/v1/repositories/team/app/images');
    for (const header of [undefined, basic('ann')]) {
      assert.equal(await codeOf(() => access.authorize(request('v1', header), [])), 'UNAUTHORIZED');
    }
    for (const header of [undefined, token('read')]) {
      assert.equal(await codeOf(() => access.authorize(request('v2', header), [])), 'DENIED');
    }
    assert.equal(log.lines.filter(({ level }) => level === 'warn').length, 1);
    const session = await access.authorize(request('v1', token('write')), []);
    assert.equal(access.issueV1Token(session, 'team/app', 'write'), undefined);
  });

  it('takes accounts beside the index', async () => {
    const path = temporaryFile('htpasswd', `${HTPASSWD.ann}\n`);
    const from = settings({ htpasswd: { path } }, notStandalone());
    const access = await createAccessControl(from, memory(), recordingLog());
    for (const protocol of ['v1', 'v2'] as const) {
      const session = await access.authorize(request(protocol, basic('ann')), []);
      assert.equal(session.user, 'ann');
    }
    assert.equal(await codeOf(() => access.authorize(request('v1', token('read')), [])), 'passed');
  });

  it('checks nothing where the operator has switched the check off', async () => {
    const v1 = { ...notStandalone(), disableTokenAuth: true };
    const access = await createAccessControl(settings({}, v1), memory(), recordingLog());
    assert.equal(access.accounts, false);
    assert.equal(await codeOf(() => access.authorize(request('v2', undefined), [])), 'passed');
  });
});
