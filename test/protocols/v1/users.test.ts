import { after, before, describe } from 'node:test';
import { basic, testAccounts } from '../../support/accounts.ts';
import { exchanges } from '../../support/exchanges.ts';
import { type RunningRegistry, startRegistry } from '../../support/v1-registry.ts';

const ACCOUNT = '{"username": "u", "password": "p", "email": "e", "auth": ""}';

describe('V1 login without accounts', () => {
  let server: RunningRegistry;
  before(async () => {
    server = await startRegistry();
  });
  after(() => server.close());

  exchanges(
    () => server.url,
    [
      { name: 'welcomes everybody', path: '/v1/users/', status: 200, text: '"OK"' },
      { name: 'welcomes everybody without a slash', path: '/v1/users', status: 200, text: '"OK"' },
      {
        name: 'welcomes any password',
        path: '/v1/users/',
        headers: { authorization: basic('no', 'body') },
        status: 200,
        text: '"OK"',
      },
      {
        name: 'says that it made an account',
        method: 'POST',
        path: '/v1/users/',
        body: ACCOUNT,
        status: 201,
        text: '"User Created"',
      },
      {
        name: 'reads an account sent as a form',
        method: 'POST',
        path: '/v1/users',
        body: ACCOUNT,
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        status: 201,
      },
      {
        name: 'refuses an account that is not JSON',
        method: 'POST',
        path: '/v1/users/',
        body: 'username=u',
        status: 400,
        json: { error: 'Error Decoding JSON' },
      },
      {
        name: 'refuses an account without a body',
        method: 'POST',
        path: '/v1/users/',
        status: 400,
        json: { error: 'Error Decoding JSON' },
      },
      {
        name: 'pretends to change an account',
        method: 'PUT',
        path: '/v1/users/me/',
        body: ACCOUNT,
        status: 204,
        text: '',
      },
      {
        name: 'changes an account without a slash',
        method: 'PUT',
        path: '/v1/users/me',
        status: 204,
      },
    ],
  );
});

describe('V1 login with accounts', () => {
  let server: RunningRegistry;
  before(async () => {
    server = await startRegistry((registry) => {
      registry.access = testAccounts();
    });
  });
  after(() => server.close());

  exchanges(
    () => server.url,
    [
      {
        name: 'refuses to make accounts, so that engines ask for the password',
        method: 'POST',
        path: '/v1/users/',
        body: ACCOUNT,
        status: 401,
        json: { error: 'Requires authorization' },
      },
      {
        name: 'accepts the right password',
        path: '/v1/users/',
        headers: { authorization: basic('ann', 'secret') },
        status: 200,
        text: '"OK"',
      },
      {
        name: 'refuses a wrong password',
        path: '/v1/users/',
        headers: { authorization: basic('ann', 'wrong') },
        status: 401,
        json: { error: 'Requires authorization' },
        answer: { 'www-authenticate': 'Basic realm="test"' },
      },
      { name: 'refuses a login without credentials', path: '/v1/users/', status: 401 },
      {
        name: 'takes an empty name and password for no credentials',
        path: '/v1/users/',
        headers: { authorization: 'Basic Og==' },
        status: 401,
      },
      {
        name: 'lets nobody change an account without a password',
        method: 'PUT',
        path: '/v1/users/ann/',
        body: ACCOUNT,
        status: 401,
      },
      {
        name: 'says that accounts are not changed here',
        method: 'PUT',
        path: '/v1/users/ann/',
        body: ACCOUNT,
        headers: { authorization: basic('ann', 'secret') },
        status: 403,
        json: { error: 'accounts are changed by the operator of this registry' },
      },
    ],
  );
});
