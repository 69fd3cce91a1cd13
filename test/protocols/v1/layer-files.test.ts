import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { listedName } from '../../../protocols/v1/layer-files.ts';

describe('the name of a listed file', () => {
  const rows: [string, ReturnType<typeof listedName>][] = [
    ['.', { name: '/', deleted: false }],
    ['./', { name: '/', deleted: false }],
    ['./etc', { name: '/etc', deleted: false }],
    ['./etc/', { name: '/etc', deleted: false }],
    ['etc/passwd', { name: 'etc/passwd', deleted: false }],
    ['/etc/passwd', { name: '/etc/passwd', deleted: false }],
    ['..', { name: '..', deleted: false }],
    ['.profile', { name: '.profile', deleted: false }],
    ['./.wh.tmp', { name: '/tmp', deleted: true }],
    ['.wh.tmp', { name: 'tmp', deleted: true }],
    ['usr/lib/.wh.x.so', { name: 'usr/lib/x.so', deleted: true }],
    ['./usr/.wh.lib/', { name: '/usr/lib', deleted: true }],
    ['usr/.wh..wh..opq', undefined],
    ['./.wh..wh.plnk', undefined],
    ['.wh.', undefined],
    ['a.wh.b', { name: 'a.wh.b', deleted: false }],
    ['.wh.d/file', { name: '.wh.d/file', deleted: false }],
  ];
  for (const [path, listed] of rows) {
    it(`of ${JSON.stringify(path)}`, () => assert.deepEqual(listedName(path), listed));
  }
});
