import { after, before, describe } from 'node:test';
import type { RepositoryName } from '../../../storage/names.ts';
import { basic, testAccounts } from '../../support/accounts.ts';
import { exchanges } from '../../support/exchanges.ts';
import { type RunningRegistry, startRegistry } from '../../support/v1-registry.ts';

const NAMES = ['a_b', 'bob/app', 'other/app', 'public', 'team/axb', 'ubuntu'] as RepositoryName[];

function results(...names: string[]) {
  return names.map((name) => ({ description: '', name }));
}

describe('V1 search', () => {
  let server: RunningRegistry;
  before(async () => {
    server = await startRegistry((registry) => {
      registry.content.catalog.ofBothProtocols = async () => NAMES;
    });
  });
  after(() => server.close());

  exchanges(
    () => server.url,
    [
      {
        name: 'finds what holds the term, in the old form',
        path: '/v1/search?q=app',
        status: 200,
        text: '{"num_results": 2, "query": "app", "results": [{"description": "", "name": "bob/app"}, {"description": "", "name": "other/app"}]}',
      },
      {
        name: 'finds everything without a term',
        path: '/v1/search',
        status: 200,
        json: { num_results: 6, query: '', results: results(...NAMES) },
      },
      {
        name: 'finds nothing',
        path: '/v1/search?q=nothing',
        status: 200,
        json: { num_results: 0, query: 'nothing', results: [] },
      },
      {
        name: 'takes % for itself',
        path: '/v1/search?q=%25',
        status: 200,
        json: { num_results: 0, query: '%', results: [] },
      },
      {
        name: 'takes _ for itself',
        path: '/v1/search?q=a_b',
        status: 200,
        json: { num_results: 1, query: 'a_b', results: results('a_b') },
      },
      {
        name: 'does not mind upper case',
        path: '/v1/search?q=UBUNTU',
        status: 200,
        json: { num_results: 1, query: 'UBUNTU', results: results('ubuntu') },
      },
      {
        name: 'finds a name by its long form',
        path: '/v1/search?q=library/ubu',
        status: 200,
        json: { num_results: 1, query: 'library/ubu', results: results('ubuntu') },
      },
      {
        name: 'escapes a term that is not ASCII',
        path: '/v1/search?q=%C3%A9',
        status: 200,
        text: '{"num_results": 0, "query": "\\u00e9", "results": []}',
      },
      {
        name: 'gives the first page of n',
        path: '/v1/search?q=&n=4',
        status: 200,
        json: {
          num_pages: 2,
          num_results: 6,
          page: 1,
          page_size: 4,
          query: '',
          results: results(...NAMES.slice(0, 4)),
        },
      },
      {
        name: 'gives a later page',
        path: '/v1/search?n=4&page=2',
        status: 200,
        json: {
          num_pages: 2,
          num_results: 6,
          page: 2,
          page_size: 4,
          query: '',
          results: results(...NAMES.slice(4)),
        },
      },
      {
        name: 'gives nothing beyond the last page',
        path: '/v1/search?n=4&page=9',
        status: 200,
        json: { num_pages: 2, num_results: 6, page: 9, page_size: 4, query: '', results: [] },
      },
      { name: 'refuses n of nothing', path: '/v1/search?n=0', status: 400 },
      {
        name: 'refuses n that is no number',
        path: '/v1/search?n=many',
        status: 400,
        json: { error: 'n must be a number from 1 on' },
      },
      { name: 'refuses a page below the first', path: '/v1/search?page=-1', status: 400 },
    ],
  );
});

describe('V1 search with accounts', () => {
  let server: RunningRegistry;
  before(async () => {
    server = await startRegistry((registry) => {
      registry.content.catalog.ofBothProtocols = async () => NAMES;
      registry.access = testAccounts();
    });
  });
  after(() => server.close());

  exchanges(
    () => server.url,
    [
      {
        name: 'shows only what the account may pull',
        path: '/v1/search',
        headers: { authorization: basic('bob', 'builder') },
        status: 200,
        json: { num_results: 2, query: '', results: results('bob/app', 'public') },
      },
      { name: 'shows nothing to nobody', path: '/v1/search', status: 401 },
    ],
  );
});
