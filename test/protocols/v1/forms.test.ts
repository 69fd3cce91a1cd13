import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { legacyJson } from '../../../protocols/v1/json.ts';
import { credentials } from '../../../protocols/v1/session.ts';
import { tagInfo } from '../../../protocols/v1/user-agent.ts';
import { platformOfUserAgent } from '../../../storage/bridge/platform.ts';

const ENGINE =
  'docker/1.12.6 go/go1.6.4 git-commit/78d1802 kernel/4.4.0 os/linux arch/arm64 UpstreamClient(Docker-Client/1.12.6 \\(linux\\))';

describe('JSON in the old form', () => {
  const rows: [unknown, string][] = [
    [true, 'true'],
    [null, 'null'],
    [undefined, 'null'],
    ['', '""'],
    [[], '[]'],
    [{}, '{}'],
    [[1, 'a', null], '[1, "a", null]'],
    [{ b: 1, a: { d: [], c: 'x' } }, '{"a": {"c": "x", "d": []}, "b": 1}'],
    [{ a: undefined, b: 1 }, '{"b": 1}'],
    ['é\u007f€"\\\n', '"\\u00e9\\u007f\\u20ac\\"\\\\\\n"'],
    ['😀', '"\\ud83d\\ude00"'],
    [{ é: 1 }, '{"\\u00e9": 1}'],
    [
      new Map([
        ['b', 2],
        ['__proto__', 1],
      ]),
      '{"__proto__": 1, "b": 2}',
    ],
  ];
  for (const [value, text] of rows) {
    it(`is ${text}`, () => {
      assert.equal(legacyJson(value), text);
      if (!(value instanceof Map))
        assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(value ?? null)));
    });
  }
});

describe('credentials as engines send them', () => {
  const rows: [string, string | undefined][] = [
    ['', undefined],
    ['Token ', undefined],
    ['Token', undefined],
    ['Basic Og==', undefined],
    ['basic Og==', undefined],
    [
      'Token signature=S,repository="a/b",access=write',
      'Token signature=S,repository="a/b",access=write',
    ],
    ['Token Token signature=S,access=read', 'Token signature=S,access=read'],
    ['token token signature=S', 'Token signature=S'],
    ['Basic YTpi', 'Basic YTpi'],
    ['Bearer abc', 'Bearer abc'],
    ['Tokenise x', 'Tokenise x'],
  ];
  for (const [header, seen] of rows) {
    it(`reads ${JSON.stringify(header)}`, () => assert.equal(credentials(header), seen));
  }
});

describe('the platform of an agent', () => {
  const rows: [string, ReturnType<typeof platformOfUserAgent>][] = [
    [ENGINE, { os: 'linux', architecture: 'arm64' }],
    [
      'docker/1.5.0 go/go1.4 git-commit/a8a31ef kernel/3 os/linux arch/amd64',
      { os: 'linux', architecture: 'amd64' },
    ],
    ['docker/17.05.0-ce os/Windows arch/AMD64', { os: 'windows', architecture: 'amd64' }],
    ['docker/1.5.0', undefined],
    ['curl/8 os/linux arch/amd64', undefined],
    ['Go 1.1 package http', undefined],
    ['', undefined],
  ];
  for (const [agent, platform] of rows) {
    it(`of ${JSON.stringify(agent)}`, () => assert.deepEqual(platformOfUserAgent(agent), platform));
  }
});

describe('what is noted of who pushes a tag', () => {
  it('is what an engine says of itself', () => {
    assert.deepEqual(tagInfo(ENGINE, 1_500_000_000_999), {
      last_update: 1_500_000_000,
      docker_version: '1.12.6',
      docker_go_version: 'go1.6.4',
      arch: 'arm64',
      kernel: '4.4.0',
      os: 'linux',
    });
  });

  it('is only the time where the client says nothing', () => {
    assert.deepEqual(tagInfo('', 1000), { last_update: 1 });
  });
});
