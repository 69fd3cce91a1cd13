import { after, before, describe } from 'node:test';
import { exchanges } from '../../support/exchanges.ts';
import { type RunningRegistry, startRegistry } from '../../support/v1-registry.ts';

const NO_CACHE = { 'cache-control': 'no-cache', pragma: 'no-cache', expires: '-1' };

describe('V1 service routes', () => {
  let server: RunningRegistry;
  before(async () => {
    server = await startRegistry((registry) => {
      registry.v1.flavor = 'dev';
    });
  });
  after(() => server.close());

  exchanges(
    () => server.url,
    [
      {
        name: 'answers a ping with the headers that engines look for',
        path: '/v1/_ping',
        status: 200,
        text: '{}',
        answer: {
          ...NO_CACHE,
          'content-type': 'application/json',
          'x-docker-registry-standalone': 'True',
          'x-docker-registry-version': '0.9.1',
          'x-docker-registry-config': 'dev',
        },
      },
      { name: 'answers a ping outside the prefix', path: '/_ping', status: 200, text: '{}' },
      { name: 'takes a trailing slash on a ping', path: '/v1/_ping/', status: 200, text: '{}' },
      {
        name: 'answers HEAD as GET, without the body',
        method: 'HEAD',
        path: '/v1/_ping',
        status: 200,
        text: '',
        answer: { 'content-length': '2', 'x-docker-registry-standalone': 'True' },
      },
      {
        name: 'says its issue at the root',
        path: '/',
        status: 200,
        text: '"\\"docker-registry server\\""',
        answer: { 'content-type': 'application/json' },
      },
      {
        name: 'tells its status without naming the machine',
        path: '/v1/_status',
        status: 200,
        text: '{"failures": {}, "services": ["storage"]}',
      },
      { name: 'tells its status outside the prefix', path: '/_status', status: 200 },
      {
        name: 'keeps robots out',
        path: '/robots.txt',
        status: 200,
        text: 'User-agent: *\nDisallow: /\n',
        answer: { 'content-type': 'text/plain' },
      },
      {
        name: 'names the methods of a path to OPTIONS',
        method: 'OPTIONS',
        path: '/v1/_ping',
        status: 200,
        text: '',
        answer: { allow: /GET/ },
      },
      {
        name: 'refuses a wrong method in its own form',
        method: 'DELETE',
        path: '/v1/_ping',
        status: 405,
        json: { error: 'DELETE is not offered here, only HEAD, GET' },
        answer: { allow: 'HEAD, GET' },
      },
      {
        name: 'refuses an unknown path in its own form',
        path: '/v1/nonsense',
        status: 404,
        json: { error: 'nothing is served at this path' },
        answer: { 'x-docker-registry-version': '0.9.1' },
      },
      { name: 'has nothing at the bare prefix', path: '/v1/', status: 404 },
      { name: 'has nothing at the prefix without a slash', path: '/v1', status: 404 },
      {
        name: 'has dropped the private image routes',
        path: `/v1/private_images/${'a'.repeat(64)}/json`,
        status: 404,
      },
      { name: 'compares paths by case', path: '/v1/_PING', status: 404 },
    ],
  );
});

describe('V1 behind an index, with a mirror and without search', () => {
  let server: RunningRegistry;
  before(async () => {
    server = await startRegistry((registry) => {
      registry.v1 = { endpoints: undefined, standalone: false, issue: 'hello', search: false };
    });
  });
  after(() => server.close());

  exchanges(
    () => server.url,
    [
      {
        name: 'says that it is not standalone',
        path: '/_ping',
        status: 200,
        answer: { 'x-docker-registry-standalone': 'False', 'x-docker-registry-config': undefined },
      },
      { name: 'says the configured issue', path: '/', status: 200, text: '"hello"' },
      { name: 'has no users', path: '/v1/users/', status: 404 },
      { name: 'has no search', path: '/v1/search?q=a', status: 404 },
      { name: 'has no image lists', path: '/v1/repositories/a/images', status: 405 },
      {
        name: 'takes no announcements',
        method: 'PUT',
        path: '/v1/repositories/a/',
        body: '[]',
        status: 405,
        answer: { allow: 'DELETE' },
      },
      {
        name: 'still has tags',
        path: '/v1/repositories/a/tags',
        status: 404,
        json: { error: 'Repository not found' },
      },
    ],
  );
});

describe('V1 as a mirror, with storage that fails', () => {
  let server: RunningRegistry;
  before(async () => {
    server = await startRegistry((registry) => {
      const { v1: images } = registry.content;
      registry.v1.mirror = {
        images,
        repository: (own) => own,
        search: async () => [],
        provide: async () => undefined,
        tags: async () => [],
      };
      Object.defineProperty(registry.content, 'driver', {
        value: { stat: () => Promise.reject(new Error('EIO at /secret/path')) },
      });
    });
  });
  after(() => server.close());

  exchanges(
    () => server.url,
    [
      {
        name: 'says that it is a mirror',
        path: '/v1/_ping',
        status: 200,
        answer: { 'x-docker-registry-standalone': 'mirror' },
      },
      {
        name: 'says that storage fails, and not how',
        path: '/v1/_status',
        status: 503,
        json: { failures: { storage: 'storage is not available' }, services: ['storage'] },
      },
    ],
  );
});
