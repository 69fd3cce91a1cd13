import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compareUtf8, decodeUtf8, quoteBytes } from '../../../storage/bridge/go-string.ts';
import { canonicalTime } from '../../../storage/bridge/go-time.ts';
import { indentedJson } from '../../../storage/bridge/indented-json.ts';
import { JsonError, parseJson } from '../../../storage/bridge/json-scanner.ts';
import { jsonValue } from '../../../storage/bridge/json-value.ts';
import { canonicalJson } from '../../../storage/bridge/raw-map.ts';
import { decodeV1Image, encodeV1Image } from '../../../storage/bridge/v1-image.ts';
import { fromBase64, readVector } from '../../support/bridge-vectors.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

interface Case {
  in: string;
  out?: string;
  error?: boolean;
}
const vectors = readVector<Record<'rawMap' | 'string' | 'time' | 'v1Image', Case[]>>('gojson.json');

function checkCase(vector: Case, convert: (input: Buffer) => Buffer): void {
  const input = fromBase64(vector.in);
  if (vector.error) assert.throws(() => convert(input), JsonError);
  else
    assert.equal(
      convert(input).toString('latin1'),
      fromBase64(vector.out ?? '').toString('latin1'),
    );
}

describe('Go JSON, golden vectors', () => {
  for (const vector of vectors.rawMap) {
    it(`writes the raw map of ${fromBase64(vector.in)}`, () => checkCase(vector, canonicalJson));
  }
  for (const vector of vectors.v1Image) {
    it(`writes the V1Image of ${fromBase64(vector.in)}`, () =>
      checkCase(vector, (input) => encodeV1Image(decodeV1Image(input))));
  }
  for (const vector of vectors.string) {
    it(`writes the string ${vector.in}`, () =>
      checkCase(vector, (input) => Buffer.from(quoteBytes(input))));
  }
  for (const vector of vectors.time) {
    it(`writes the time ${vector.in}`, () => {
      if (vector.error) assert.throws(() => canonicalTime(vector.in), JsonError);
      else assert.equal(canonicalTime(vector.in), vector.out);
    });
  }
});

describe('raw maps and times', () => {
  it('know where a string ends that has escaped quotes and backslashes', () => {
    const text = '{"a": ["\\\\" , "\\"" , " < " ], "b" : 1 }';
    assert.equal(
      canonicalJson(Buffer.from(text)).toString(),
      '{"a":["\\\\","\\""," \\u003c "],"b":1}',
    );
  });
  it('keep nine digits of a fraction', () => {
    assert.equal(
      canonicalTime('2015-01-01T00:00:00.1234567899Z'),
      '2015-01-01T00:00:00.123456789Z',
    );
    assert.equal(canonicalTime('2015-01-01T00:00:00.0000000001Z'), '2015-01-01T00:00:00Z');
  });
  it('know leap years', () => {
    assert.ok(canonicalTime('2000-02-29T00:00:00Z'));
    for (const day of ['1900-02-29', '2015-04-31', '2015-13-01', '2015-00-01', '2015-01-00']) {
      assert.throws(() => canonicalTime(`${day}T00:00:00Z`), JsonError);
    }
  });
});

describe('strict JSON', () => {
  const good = [
    '0',
    '-0',
    '1.5e-3',
    ' [ ] ',
    '{"a":[{},[],"",null,true,false]}',
    '"\\u00e9\\/"',
    '"\\\\"',
    '"\\""',
  ];
  for (const text of good) {
    it(`takes ${text}`, () => assert.doesNotThrow(() => parseJson(Buffer.from(text))));
  }
  const bad = [
    '',
    ' ',
    '\ufeff{}',
    '01',
    '1.',
    '.5',
    '+1',
    '1e',
    '-',
    '[1,]',
    '[,1]',
    '{,}',
    '{"a"}',
    '{"a":}',
    '{a:1}',
    "{'a':1}",
    '{"a":1 "b":2}',
    '[1 2]',
    '[}',
    '{]',
    '{"a":1',
    '[',
    '"',
    '"\\x"',
    '"\\u12g4"',
    '"\\u12',
    'nul',
    'nulll',
    'True',
    'NaN',
    '{} {}',
    '"\n"',
    '\u00a01',
  ];
  for (const text of bad) {
    it(`refuses ${JSON.stringify(text)}`, () =>
      assert.throws(() => parseJson(Buffer.from(text)), JsonError));
  }
  it('takes 10,000 levels and refuses one more, without a stack overflow', () => {
    const nested = (depth: number) => Buffer.from('['.repeat(depth) + ']'.repeat(depth));
    assert.doesNotThrow(() => parseJson(nested(10_000)));
    assert.throws(() => parseJson(nested(10_001)), /nested too deeply/);
    assert.throws(() => parseJson(Buffer.from('['.repeat(1_000_000))), /nested too deeply/);
  });
});

describe('typed V1Image', () => {
  const roundTrip = (text: string) => encodeV1Image(decodeV1Image(Buffer.from(text))).toString();
  const refused = [
    '{"config":[]}',
    '{"config":{"Env":"x"}}',
    '{"config":{"Env":[1]}}',
    '{"config":{"Volumes":{"/a":1}}}',
    '{"config":{"Labels":{"a":1}}}',
    '{"config":{"Cmd":[1]}}',
    '{"config":{"Cmd":1}}',
    '{"Size":9223372036854775808}',
    '{"Size":1e3}',
    '{"Size":"1"}',
    '{"config":{"Tty":1}}',
    '{"config":{"Healthcheck":{"Retries":1.5}}}',
    '{"config":{"StopTimeout":"1"}}',
    '{"created":"2015-01-01T24:00:00Z"}',
    '{"created":"2015\\u002d01-01T00:00:00Z"}',
    '{"container_config":"x"}',
    '[]',
    '"x"',
  ];
  for (const text of refused) {
    it(`refuses ${text}`, () => assert.throws(() => decodeV1Image(Buffer.from(text)), JsonError));
  }
  it('refuses an integer of millions of digits without converting it', () => {
    const digits = '9'.repeat(4_000_000);
    const json = Buffer.from(`{"Size":${digits}}`);
    const started = performance.now();
    assert.throws(() => decodeV1Image(json), /64-bit integer/);
    const refused = performance.now();
    assert.ok(BigInt(digits) > 0n);
    assert.ok(refused - started < performance.now() - refused);
  });
  it('keeps 64-bit integers past 2^53', () => {
    assert.match(roundTrip('{"Size":-9223372036854775808}'), /"Size":-9223372036854775808}$/);
    assert.match(
      roundTrip('{"config":{"Healthcheck":{"Interval":9007199254740993}}}'),
      /"Interval":9007199254740993/,
    );
  });
  it('keeps an empty Healthcheck and a StopTimeout of 0, which null removes', () => {
    const kept = roundTrip('{"config":{"Healthcheck":{},"StopTimeout":0}}');
    assert.match(kept, /"Healthcheck":{}/);
    assert.match(kept, /"StopTimeout":0/);
    const gone = roundTrip(
      '{"config":{"Healthcheck":{},"StopTimeout":0,"healthcheck":null,"stoptimeout":null}}',
    );
    assert.doesNotMatch(gone, /Healthcheck|StopTimeout/);
  });
  it('takes the last of repeated keys in any case, merges objects and maps, replaces lists', () => {
    const image = decodeV1Image(
      Buffer.from(
        '{"ID":"a","iD":"b","config":{"Env":["x"],"Labels":{"a":"1"}},"CONFIG":{"ENV":["y"],"labels":{"b":null}}}',
      ),
    );
    assert.equal(image.id, 'b');
    assert.deepEqual(image.config?.env, ['y']);
    assert.deepEqual(
      [...(image.config?.labels ?? [])],
      [
        ['a', '1'],
        ['b', ''],
      ],
    );
  });
  it('folds the long s and the Kelvin sign as Go does', () => {
    assert.equal(decodeV1Image(Buffer.from('{"o\u017f":"linux"}')).os, 'linux');
    assert.deepEqual(
      decodeV1Image(Buffer.from('{"config":{"wor\u212aingdir":"/w"}}')).config?.workingDir,
      '/w',
    );
  });
  it('lets null leave scalars as they are and clear lists', () => {
    const image = decodeV1Image(
      Buffer.from('{"id":"a","Id":null,"config":{"Cmd":["x"],"cmd":null,"Env":[null]}}'),
    );
    assert.equal(image.id, 'a');
    assert.equal(image.config?.cmd, null);
    assert.deepEqual(image.config?.env, ['']);
  });
});

describe('strings', () => {
  it('decodes one U+FFFD for each invalid byte', () => {
    assert.equal(decodeUtf8(Buffer.from('61e280ff62', 'hex')), 'a\ufffd\ufffd\ufffdb');
    assert.equal(decodeUtf8(Buffer.from('f09f9f', 'hex')), '\ufffd\ufffd\ufffd');
  });
  it('tells a U+FFFD that was there from a byte that could not be read', () => {
    assert.equal(quoteBytes(Buffer.from('efbfbdff', 'hex')), '"\ufffd\\ufffd"');
  });
  it('orders as the UTF-8 bytes do', () => {
    const random = new SeededRandom(1);
    const units = ['a', 'b', '\u00e9', '\u2028', '\ue000', '\uffff', '\u{10000}', '\u{1f433}'];
    for (let round = 0; round < 2000; round++) {
      const [a, b] = [0, 1].map(() =>
        Array.from({ length: random.below(4) }, () => random.pick(units)).join(''),
      );
      assert.equal(
        Math.sign(compareUtf8(a as string, b as string)),
        Buffer.compare(Buffer.from(a as string), Buffer.from(b as string)),
      );
    }
  });
});

describe('plain values', () => {
  const read = (text: string) => jsonValue(Buffer.from(text));
  it('are what the text says, the last of equal keys', () => {
    assert.deepEqual(read('{"a":[1,-2.5e1,true,false,null,"\\u00e9\\n"],"b":1,"b":{}}'), {
      a: [1, -25, true, false, null, '\u00e9\n'],
      b: {},
    });
  });
  it('do not mix up escaped keys, which JSON.parse does on Node 24 after such a document', () => {
    JSON.parse('{"h":[],"\\\\":0}');
    assert.deepEqual(Object.keys(read('{"h":1,"\\"":2}') as object), ['h', '"']);
  });
  it('take __proto__ for a key like any other', () => {
    const object = read('{"__proto__":{"a":1}}') as Record<string, unknown>;
    assert.ok(Object.hasOwn(object, '__proto__'));
    assert.equal(object.a, undefined);
  });
  it('are refused when they nest too deeply to be anything that we read', () => {
    assert.throws(() => read('['.repeat(9000) + ']'.repeat(9000)), JsonError);
  });
});

describe('indented JSON', () => {
  it('writes three spaces a level, [] and {} for empty, and leaves undefined members out', () => {
    const tree = {
      a: 1,
      b: undefined,
      c: [],
      d: {},
      e: [{ f: '<' }, 'g'],
      h: Buffer.from('ff', 'hex'),
    };
    assert.equal(
      indentedJson(tree).toString(),
      '{\n   "a": 1,\n   "c": [],\n   "d": {},\n   "e": [\n      {\n         "f": "\\u003c"\n      },\n      "g"\n   ],\n   "h": "\\ufffd"\n}',
    );
  });
});
