import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { loadHooks } from '../../src/hooks.ts';
import { openService } from '../../src/service.ts';
import { serve } from '../support/app-server.ts';
import { collectingLog } from '../support/collecting-log.ts';
import { flavor } from '../support/config.ts';
import { jsonOf, request } from '../support/http-client.ts';
import { makeV1Chain } from '../support/images.ts';
import { temporaryDirectory } from '../support/temporary.ts';
import { V1Client } from '../support/v1-client.ts';

function moduleOf(context: TestContext, text: string): string {
  const path = join(temporaryDirectory(context), 'hooks.mjs');
  writeFileSync(path, text);
  return path;
}

interface Told {
  name: string;
  event: { namespace?: string; repository?: string; tag?: string; value?: unknown };
}

/** A registry whose hooks note what they are told, and run `more` besides. */
async function start(context: TestContext, more = '') {
  const key = `told-${Math.random()}`;
  const told: Told[] = [];
  Object.assign(globalThis, { [key]: told });
  const names = ['tag_created', 'tag_deleted', 'repository_created', 'repository_updated'];
  const noting = [...names, 'repository_deleted'].map(
    (name) =>
      `export function ${name}(event) { globalThis['${key}'].push({name: '${name}', event}); }`,
  );
  const path = moduleOf(context, `${noting.join('\n')}\n${more}`);
  const log = collectingLog();
  const { config } = flavor(`storage: inmemory\nprotocols: {v1: {hooks: "${path}"}}`);
  const service = await openService(config, log);
  const server = await serve(service.handler);
  context.after(async () => {
    await server.stop();
    await service.close();
  });
  return { url: server.url, told, log };
}

describe('hooks', () => {
  const images = makeV1Chain({ seed: 640, layers: 2 });
  const ids = images.map(({ id }) => id);

  it("are told of V1's writes by the names of docker-registry's signals", async (context) => {
    const { url, told } = await start(context);
    const client = new V1Client(url);
    await client.push('team/app', 'v1', images);
    assert.deepEqual(
      told.map(({ name }) => name),
      ['repository_created', 'tag_created', 'repository_updated'],
    );
    const where = { namespace: 'team', repository: 'app' };
    const [created, tagged, updated] = told;
    assert.deepEqual(created?.event, {
      ...where,
      value: [{ id: ids[0] }, { id: ids[1], tag: 'v1' }],
    });
    assert.deepEqual(tagged?.event, { ...where, tag: 'v1', value: ids[1] });
    const merged = (updated?.event.value ?? []) as { id: string }[];
    assert.deepEqual(merged.map(({ id }) => id).sort(), [...ids].sort());
    told.length = 0;
    await request(`${url}/v1/repositories/team/app/tags/v1`, { method: 'DELETE' });
    await request(`${url}/v1/repositories/team/app/`, { method: 'DELETE' });
    assert.deepEqual(told, [
      { name: 'tag_deleted', event: { ...where, tag: 'v1' } },
      { name: 'repository_deleted', event: where },
    ]);
    told.length = 0;
    await client.push('app', 'v1', images);
    assert.equal(told[0]?.event.namespace, 'library');
  });

  it('may refuse an image, with their own words', async (context) => {
    const { url } = await start(
      context,
      `export async function before_put_image_json({ image_json }) {
        if (image_json.comment === 'bad') return 'no bad images here';
      }`,
    );
    await new V1Client(url).push('team/app', 'v1', images);
    const put = (id: string, json: object) =>
      request(`${url}/v1/images/${id}/json`, {
        method: 'PUT',
        body: JSON.stringify({ id, ...json }),
      });
    const refused = await put('a'.repeat(64), { comment: 'bad' });
    assert.equal(refused.status, 400);
    assert.deepEqual(jsonOf(refused), { error: 'no bad images here' });
    assert.equal((await put('a'.repeat(64), { comment: 'good' })).status, 200);
    // What is there already is no news to them.
    assert.equal((await put(ids[0] ?? '', { comment: 'bad' })).status, 409);
  });

  it('fail no request but the one that they were to judge', async (context) => {
    const { url, log } = await start(
      context,
      `export function before_put_image_json({ image_json }) {
        if (image_json.comment === 'odd') throw new Error('cannot judge');
      }`.concat('\n'),
    );
    const id = 'b'.repeat(64);
    const body = JSON.stringify({ id, comment: 'odd' });
    const answer = await request(`${url}/v1/images/${id}/json`, { method: 'PUT', body });
    assert.equal(answer.status, 500);
    assert.ok(!answer.body.toString().includes('judge'));
    assert.ok(log.lines.some(({ level }) => level === 'error'));
    const path = moduleOf(context, 'export function tag_created() { throw new Error("broken"); }');
    const hooks = await loadHooks(path, log);
    await hooks.signal('tag_created', { namespace: 'a', repository: 'b' });
    await hooks.signal('tag_deleted', { namespace: 'a', repository: 'b' });
    const lines = log.lines.filter(({ event }) => event === 'a hook failed');
    assert.deepEqual(
      lines.map(({ fields }) => [fields.hook, String(fields.error)]),
      [['tag_created', 'Error: broken']],
    );
  });

  it('are not waited for without end', async (context) => {
    const log = collectingLog();
    const text = `export const tag_created = () => new Promise(() => {});
      export const before_put_image_json = () => new Promise(() => {});`;
    const hooks = await loadHooks(moduleOf(context, text), log, 50);
    await hooks.signal('tag_created', { namespace: 'a', repository: 'b' });
    assert.match(String(log.lines[0]?.fields.error), /took more than 50 ms/);
    await assert.rejects(hooks.objection({}), /took more than 50 ms/);
  });

  it('keep the registry from starting when they can not be loaded, or are none', async (context) => {
    const log = collectingLog();
    await assert.rejects(
      loadHooks('/nowhere/hooks.mjs', log),
      /hooks in \/nowhere\/hooks.mjs can not be loaded/,
    );
    await assert.rejects(
      loadHooks(moduleOf(context, 'export {'), log),
      /can not be loaded: SyntaxError/,
    );
    const none = moduleOf(context, 'export const tagCreated = () => {};');
    await assert.rejects(loadHooks(none, log), /exports none of tag_created, tag_deleted/);
  });
});
