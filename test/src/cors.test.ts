import { after, before, describe } from 'node:test';
import type { CorsOptions } from '../../src/cors.ts';
import { testAccounts } from '../support/accounts.ts';
import { type Exchange, exchanges } from '../support/exchanges.ts';
import { type RunningRegistry, startRegistry } from '../support/v1-registry.ts';

const UI = 'https://ui.example';
const OPTIONS: CorsOptions = {
  origins: [UI, 'http://localhost:8080'],
  methods: ['GET', 'PUT'],
  headers: ['Content-Type', 'Authorization'],
  exposeHeaders: ['X-Docker-Token'],
  supportsCredentials: false,
  maxAgeSeconds: 600,
};
const PREFLIGHT = { 'access-control-request-method': 'PUT' };

function suite(name: string, options: CorsOptions, rows: Exchange[]): void {
  describe(name, () => {
    let server: RunningRegistry;
    before(async () => {
      server = await startRegistry(
        (registry) => {
          registry.access = testAccounts();
        },
        { cors: options },
      );
    });
    after(() => server.close());
    exchanges(() => server.url, rows);
  });
}

suite('pages of some origins', OPTIONS, [
  {
    name: 'may use a route',
    path: '/v1/_ping',
    headers: { origin: UI },
    status: 200,
    text: '{}',
    answer: {
      'access-control-allow-origin': UI,
      'access-control-allow-credentials': undefined,
      'access-control-expose-headers': 'X-Docker-Token',
      'access-control-allow-methods': undefined,
      vary: 'Origin',
    },
  },
  {
    name: 'see errors too',
    path: '/v1/repositories/a/tags',
    headers: { origin: UI },
    status: 401,
    answer: { 'access-control-allow-origin': UI },
  },
  {
    name: 'may ask first, without credentials',
    method: 'OPTIONS',
    path: '/v1/repositories/a/tags/b',
    headers: { origin: UI, ...PREFLIGHT },
    status: 200,
    text: '',
    answer: {
      'access-control-allow-origin': UI,
      'access-control-allow-methods': 'GET, PUT',
      'access-control-allow-headers': 'Content-Type, Authorization',
      'access-control-max-age': '600',
      'content-length': '0',
    },
  },
  {
    name: 'may ask first over V2',
    method: 'OPTIONS',
    path: '/v2/a/tags/list',
    headers: { origin: 'http://LOCALHOST:8080', ...PREFLIGHT },
    status: 200,
    answer: { 'access-control-allow-origin': 'http://LOCALHOST:8080' },
  },
  {
    name: 'keep out those of others, which is no error',
    path: '/v1/_ping',
    headers: { origin: 'https://evil.example' },
    status: 200,
    text: '{}',
    answer: { 'access-control-allow-origin': undefined, vary: 'Origin' },
  },
  {
    name: 'get no leave to ask where they are not allowed',
    method: 'OPTIONS',
    path: '/v1/_ping',
    headers: { origin: 'https://evil.example', ...PREFLIGHT },
    status: 200,
    answer: { 'access-control-allow-origin': undefined, 'access-control-allow-methods': undefined },
  },
  {
    name: 'are not programs, which get no such headers',
    path: '/v1/_ping',
    status: 200,
    answer: { 'access-control-allow-origin': undefined },
  },
  {
    name: 'leave OPTIONS by itself to the protocol',
    method: 'OPTIONS',
    path: '/v1/_ping',
    headers: { origin: UI },
    status: 200,
    answer: { allow: /GET/, 'access-control-allow-origin': UI },
  },
]);

suite('pages of every origin', { ...OPTIONS, origins: ['*'], maxAgeSeconds: undefined }, [
  {
    name: 'may use a route',
    path: '/v1/_ping',
    headers: { origin: 'https://any.example' },
    status: 200,
    answer: { 'access-control-allow-origin': '*', vary: undefined },
  },
  {
    name: 'may keep the leave as long as browsers do',
    method: 'OPTIONS',
    path: '/v1/_ping',
    headers: { origin: UI, ...PREFLIGHT },
    status: 200,
    answer: { 'access-control-max-age': undefined, 'access-control-allow-methods': 'GET, PUT' },
  },
]);

suite('pages with credentials', { ...OPTIONS, origins: ['*'], supportsCredentials: true }, [
  {
    name: 'are named, since browsers refuse the wildcard',
    path: '/v1/_ping',
    headers: { origin: UI },
    status: 200,
    answer: {
      'access-control-allow-origin': UI,
      'access-control-allow-credentials': 'true',
      vary: 'Origin',
    },
  },
]);
