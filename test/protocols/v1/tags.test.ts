import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { exchanges, send } from '../../support/exchanges.ts';
import { idOf, makeImage, pushImage, type TestImage } from '../../support/v1-images.ts';
import { type RunningRegistry, startRegistry } from '../../support/v1-registry.ts';

const ENGINE = 'docker/1.12.6 go/go1.6.4 git-commit/78d1802 kernel/4.4.0-X os/Linux arch/AMD64';
const ID = idOf('top');

describe('V1 tags', () => {
  let server: RunningRegistry;
  let base: TestImage;
  let top: TestImage;
  before(async () => {
    server = await startRegistry();
    base = await makeImage('base');
    top = await makeImage('top', base);
    await pushImage(server.url, base);
    await pushImage(server.url, top);
    // Announced, but never finished.
    const unfinished = idOf('unfinished');
    await send(server.url, {
      method: 'PUT',
      path: `/v1/images/${unfinished}/json`,
      body: JSON.stringify({ id: unfinished }),
    });
  });
  after(() => server.close());

  exchanges(
    () => server.url,
    [
      {
        name: 'knows no tags of a repository that is not there',
        path: '/v1/repositories/box/tags',
        status: 404,
        json: { error: 'Repository not found' },
      },
      {
        name: 'knows no tag of a repository that is not there',
        path: '/v1/repositories/box/tags/v1',
        status: 404,
        json: { error: 'Tag not found' },
      },
      {
        name: 'makes a repository with a tag',
        method: 'PUT',
        path: '/v1/repositories/box/tags/v1',
        body: `"${ID}"`,
        headers: { 'user-agent': ENGINE },
        status: 200,
        text: 'true',
      },
      {
        name: 'gives the tag as a JSON string',
        path: '/v1/repositories/box/tags/v1',
        status: 200,
        text: `"${ID}"`,
        answer: { vary: 'User-Agent', 'cache-control': 'no-cache' },
      },
      {
        name: 'gives the tag with the long form of the name',
        path: '/v1/repositories/library/box/tags/v1',
        status: 200,
        text: `"${ID}"`,
      },
      {
        name: 'gives the tag with a trailing slash',
        path: '/v1/repositories/box/tags/v1/',
        status: 200,
        text: `"${ID}"`,
      },
      {
        name: 'lists the tags as an object',
        path: '/v1/repositories/library/box/tags',
        status: 200,
        text: `{"v1": "${ID}"}`,
        answer: { vary: 'User-Agent' },
      },
      {
        name: 'lists the tags with a trailing slash',
        path: '/v1/repositories/box/tags/',
        status: 200,
        text: `{"v1": "${ID}"}`,
      },
      {
        name: 'answers HEAD on a tag',
        method: 'HEAD',
        path: '/v1/repositories/box/tags/v1',
        status: 200,
        text: '',
        answer: { 'content-length': '66' },
      },
      {
        name: 'moves a tag',
        method: 'PUT',
        path: '/v1/repositories/box/tags/latest',
        body: `"${idOf('base')}"`,
        headers: { 'content-type': 'application/x-www-form-urlencoded', 'user-agent': '' },
        status: 200,
      },
      {
        name: 'takes a tag in chunks',
        method: 'PUT',
        path: '/v1/repositories/box/tags/latest',
        chunks: [`"${ID.slice(0, 20)}`, `${ID.slice(20)}"`],
        headers: { 'user-agent': 'curl/8' },
        status: 200,
      },
      {
        name: 'takes a tag called __proto__',
        method: 'PUT',
        path: '/v1/repositories/odd/tags/__proto__',
        body: `"${ID}"`,
        status: 200,
      },
      {
        name: 'lists a tag called __proto__',
        path: '/v1/repositories/odd/tags',
        status: 200,
        text: `{"__proto__": "${ID}"}`,
      },
      {
        name: 'sorts the tags',
        path: '/v1/repositories/box/tags',
        status: 200,
        text: `{"latest": "${ID}", "v1": "${ID}"}`,
      },
      {
        name: 'refuses a tag that is not JSON',
        method: 'PUT',
        path: '/v1/repositories/box/tags/v2',
        body: ID,
        status: 400,
        json: { error: 'Invalid data' },
      },
      {
        name: 'refuses a tag without a body',
        method: 'PUT',
        path: '/v1/repositories/box/tags/v2',
        status: 400,
        json: { error: 'Invalid data' },
      },
      {
        name: 'refuses an empty string for a tag',
        method: 'PUT',
        path: '/v1/repositories/box/tags/v2',
        body: '""',
        status: 400,
        json: { error: 'Invalid data' },
      },
      {
        name: 'refuses an object for a tag',
        method: 'PUT',
        path: '/v1/repositories/box/tags/v2',
        body: `{"id": "${ID}"}`,
        status: 400,
        json: { error: 'Invalid data' },
      },
      {
        name: 'refuses a tag on an image that is not there',
        method: 'PUT',
        path: '/v1/repositories/box/tags/v2',
        body: `"${'0'.repeat(64)}"`,
        status: 404,
        json: { error: 'Image not found' },
      },
      {
        name: 'refuses a tag on an unfinished image',
        method: 'PUT',
        path: '/v1/repositories/box/tags/v2',
        body: `"${idOf('unfinished')}"`,
        status: 404,
        json: { error: 'Image not found' },
      },
      {
        name: 'refuses a tag on what is no image id',
        method: 'PUT',
        path: '/v1/repositories/box/tags/v2',
        body: '"h\\u00e9"',
        status: 404,
        json: { error: 'Image not found' },
      },
      {
        name: 'refuses a tag name that cannot be',
        method: 'PUT',
        path: '/v1/repositories/box/tags/-v2',
        body: `"${ID}"`,
        status: 400,
        json: { error: 'Invalid tag name (must match ^[\\w][\\w.-]{0,127}$)' },
      },
      {
        name: 'did not write any of the refused tags',
        path: '/v1/repositories/box/tags/v2',
        status: 404,
        json: { error: 'Tag not found' },
      },
      {
        name: 'finds no tag whose name cannot be',
        path: '/v1/repositories/box/tags/a%20b',
        status: 404,
        json: { error: 'Tag not found' },
      },
      {
        name: 'has defaults for a tag that is not there',
        path: '/v1/repositories/box/tags/none/json',
        status: 200,
        text: '{"arch": "amd64", "docker_go_version": null, "docker_version": null, "kernel": null, "last_update": null, "os": "linux"}',
      },
      {
        name: 'has defaults for a tag whose name cannot be',
        path: '/v1/repositories/box/tags/a%2Fb/json',
        status: 200,
      },
      {
        name: 'has defaults for a repository that is not there',
        path: '/v1/repositories/nowhere/json',
        status: 200,
        json: {
          arch: 'amd64',
          docker_go_version: null,
          docker_version: null,
          kernel: null,
          last_update: null,
          os: 'linux',
        },
      },
      {
        name: 'knows who pushed a tag',
        path: '/v1/repositories/box/tags/v1/json',
        status: 200,
        text: /^\{"arch": "amd64", "docker_go_version": "go1.6.4", "docker_version": "1.12.6", "kernel": "4.4.0-x", "last_update": \d{10}, "os": "linux"\}$/,
      },
      {
        name: 'knows only when latest was pushed by something else',
        path: '/v1/repositories/box/json',
        status: 200,
        text: /^\{"last_update": \d{10}\}$/,
      },
      {
        name: 'refuses to delete a tag that is not there',
        method: 'DELETE',
        path: '/v1/repositories/box/tags/none',
        status: 404,
        json: { error: 'Tag not found: none' },
      },
      {
        name: 'refuses to delete a tag whose name cannot be',
        method: 'DELETE',
        path: '/v1/repositories/box/tags/%C3%A9',
        status: 404,
        json: { error: 'Tag not found: é' },
      },
      {
        name: 'deletes a tag',
        method: 'DELETE',
        path: '/v1/repositories/box/tags/v1',
        status: 200,
        text: 'true',
      },
      {
        name: 'has no tag left',
        path: '/v1/repositories/box/tags/v1',
        status: 404,
        json: { error: 'Tag not found' },
      },
      {
        name: 'forgets who pushed a deleted tag',
        path: '/v1/repositories/box/tags/v1/json',
        status: 200,
        text: /"last_update": null/,
      },
      {
        name: 'announces a repository for the next test',
        method: 'PUT',
        path: '/v1/repositories/empty/',
        body: '[]',
        status: 200,
      },
      {
        name: 'lists no tags of a repository without tags',
        path: '/v1/repositories/empty/tags',
        status: 200,
        text: '{}',
      },
      {
        name: 'deletes a repository by its tags',
        method: 'DELETE',
        path: '/v1/repositories/box/tags',
        status: 200,
        text: 'true',
      },
      {
        name: 'has no tags of a deleted repository',
        path: '/v1/repositories/box/tags',
        status: 404,
        json: { error: 'Repository not found' },
      },
      {
        name: 'keeps the images of a deleted repository',
        path: `/v1/images/${ID}/json`,
        status: 200,
      },
    ],
  );

  it('tells the event sink of tags that are set and deleted', async () => {
    const path = '/v1/repositories/team/app/tags/v1';
    await send(server.url, {
      method: 'PUT',
      path,
      body: `"${ID}"`,
      headers: { 'user-agent': ENGINE },
    });
    await send(server.url, { method: 'DELETE', path });
    const told = server.events.slice(-2).map(({ action, protocol, repository, tag, target }) => {
      return [action, protocol, repository, tag, target.imageId];
    });
    assert.deepEqual(told, [
      ['push', 'v1', 'team/app', 'v1', ID],
      ['delete', 'v1', 'team/app', 'v1', undefined],
    ]);
    assert.equal(server.events.at(-2)?.request.userAgent, ENGINE);
  });

  it('asks the store for the image of the engine that asks', async () => {
    const seen: unknown[] = [];
    const { v1 } = server.registry.content.repository('team/app' as never);
    const view = v1.view.bind(v1);
    v1.view = (name, viewer) => {
      seen.push(viewer?.platform);
      return view(name, viewer);
    };
    const path = '/v1/repositories/team/app/tags/v1';
    await send(server.url, { path, headers: { 'user-agent': ENGINE } });
    await send(server.url, { path, headers: { 'user-agent': 'curl/8.0' } });
    assert.deepEqual(seen, [{ os: 'linux', architecture: 'amd64' }, undefined]);
  });
});
