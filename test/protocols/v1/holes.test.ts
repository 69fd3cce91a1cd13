import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { mistakesIn } from '../../support/config.ts';
import { header, jsonOf, request } from '../../support/http-client.ts';
import { temporaryDirectory } from '../../support/temporary.ts';
import { type RunningRegistry, startRegistry } from '../../support/v1-registry.ts';

/** Holes of docker-registry 0.9.1 (v1.md 8) whose closing no other test file is about. */
describe('a hole of docker-registry', () => {
  let server: RunningRegistry;
  let fixed: RunningRegistry;
  let named: RunningRegistry;

  before(async () => {
    server = await startRegistry();
    fixed = await startRegistry((registry) => {
      registry.urls = { ...registry.urls, host: 'https://registry.example:8443' };
    });
    named = await startRegistry((registry) => {
      registry.urls = { ...registry.urls, host: 'https://registry.example' };
      registry.v1.endpoints = 'one.example, two.example:5000';
    });
  });
  after(async () => {
    for (const each of [server, fixed, named]) await each.close();
  });

  const put = (url: string, path: string, body: unknown, headers = {}) =>
    request(url + path, { method: 'PUT', body: JSON.stringify(body), headers });

  it('is closed: YAML that runs code, in the file and in the environment (B6)', (context) => {
    const file = join(temporaryDirectory(context), 'ran');
    const tags = [
      `!!python/object/apply:os.system ["touch ${file}"]`,
      `!!js/function 'function () { require("fs").writeFileSync("${file}", "") }'`,
    ];
    for (const tag of tags) {
      for (const [text, environment] of [
        [`dev:\n  workers: ${tag}\n`, {}],
        ['dev:\n  workers: _env:WORKERS\n', { WORKERS: tag }],
      ] as const) {
        assert.notDeepEqual(mistakesIn(text, environment), [], text);
      }
    }
    assert.equal(existsSync(file), false);
  });

  it('is closed: ancestries without end (B12)', async () => {
    const idOf = (n: number) => n.toString(16).padStart(64, '0');
    let last = { status: 200, error: '' };
    for (let n = 1; n <= 1026 && last.status === 200; n += 1) {
      const parent = n === 1 ? {} : { parent: idOf(n - 1) };
      const answer = await put(server.url, `/v1/images/${idOf(n)}/json`, {
        id: idOf(n),
        ...parent,
      });
      last = { status: answer.status, error: answer.body.toString() };
      if (last.status !== 200) assert.equal(n, 1025, 'the first that is refused');
    }
    assert.equal(last.status, 400);
    assert.match(last.error, /more than 1024 ancestors/);
  });

  it('is closed: a forged Host that sends pushes elsewhere (B24)', async () => {
    const endpointsAt = async ({ url }: RunningRegistry, headers: Record<string, string>) => {
      const answer = await put(url, '/v1/repositories/team/app/', [], headers);
      assert.equal(answer.status, 200);
      return header(answer.headers, 'x-docker-endpoints');
    };
    const forged = { host: 'evil.example', 'x-forwarded-host': 'evil.example' };
    assert.equal(await endpointsAt(fixed, forged), 'registry.example:8443');
    assert.equal(await endpointsAt(named, forged), 'one.example, two.example:5000');
    // Without a configured address it is the one that the client used, as engines need it; nothing else gets in.
    assert.equal(await endpointsAt(server, { host: 'registry.test:5000' }), 'registry.test:5000');
    assert.equal(await endpointsAt(server, { host: 'a"b;c' }), undefined);
  });

  it('is closed: one status for what is unfinished and what is wrong, without a word that tells them apart (B26)', async () => {
    const id = 'e'.repeat(64);
    assert.equal((await put(server.url, `/v1/images/${id}/json`, { id })).status, 200);
    const unfinished = await request(`${server.url}/v1/images/${id}/json`);
    const wrong = await put(server.url, `/v1/images/${id}/json`, { id: 'x' });
    assert.deepEqual([unfinished.status, wrong.status], [400, 400]);
    assert.match(jsonOf<{ error: string }>(unfinished).error, /being uploaded, retry later/);
    assert.match(jsonOf<{ error: string }>(wrong).error, /contains invalid id/);
  });
});
