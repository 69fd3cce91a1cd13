import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeUtf8, quote } from '../../../storage/bridge/go-string.ts';
import { JsonError, parseJson } from '../../../storage/bridge/json-scanner.ts';
import { canonicalJson, RawMap } from '../../../storage/bridge/raw-map.ts';
import { decodeV1Image, encodeV1Image } from '../../../storage/bridge/v1-image.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

describe('random documents', () => {
  const strings = [
    '',
    'a',
    'A',
    '<&>',
    '\u2028',
    '\\',
    '"',
    '\u0001',
    '\u{1f433}',
    '\ue000',
    '\u00e9',
    ' ',
  ];
  const numbers = ['0', '-0', '1.0', '9007199254740993', '1E+2', '-1e-400'];
  const space = (random: SeededRandom) => random.pick(['', '', ' ', '\n\t', '\r']);
  /** A text and what Go makes of it, written side by side: JSON.parse is no referee, Node 24 misreads escaped keys. */
  interface Pair {
    text: string;
    canonical: string;
  }
  const goQuoted = (value: string) =>
    JSON.stringify(value).replace(
      /[<>&\u2028]/g,
      (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );

  function value(random: SeededRandom, depth: number): Pair {
    const kind = random.below(depth === 0 ? 4 : 6);
    if (kind < 2) {
      const text = kind === 0 ? random.pick(numbers) : random.pick(['true', 'false', 'null']);
      return { text, canonical: text };
    }
    if (kind < 4) {
      const picked = random.pick(strings);
      return { text: JSON.stringify(picked), canonical: goQuoted(picked) };
    }
    const items = Array.from({ length: random.below(4) }, () => {
      const key = kind === 5 ? random.pick(strings) : undefined;
      const item = value(random, depth - 1);
      const spaced = `${space(random)}${item.text}${space(random)}`;
      if (key === undefined) return { text: spaced, canonical: item.canonical };
      return {
        text: `${space(random)}${JSON.stringify(key)}${space(random)}:${spaced}`,
        canonical: `${goQuoted(key)}:${item.canonical}`,
      };
    });
    const [open, close] = kind === 5 ? '{}' : '[]';
    return {
      text: `${open}${items.map(({ text }) => text).join(',') || space(random)}${close}`,
      canonical: `${open}${items.map(({ canonical }) => canonical).join(',')}${close}`,
    };
  }
  /** A top-level object, and its canonical values by key, the last of equal keys. */
  function topLevel(random: SeededRandom): { text: string; model: Map<string, string> } {
    const model = new Map<string, string>();
    const members = Array.from({ length: random.below(6) }, () => {
      const [key, member] = [random.pick(strings), value(random, 3)];
      model.set(key, member.canonical);
      return `${space(random)}${JSON.stringify(key)}${space(random)}:${space(random)}${member.text}${space(random)}`;
    });
    return { text: `${space(random)}{${members.join(',')}}${space(random)}`, model };
  }
  function written(model: ReadonlyMap<string, string>): string {
    const keys = [...model.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    return `{${keys.map((key) => `${goQuoted(key)}:${model.get(key)}`).join(',')}}`;
  }

  it('are written as the model says, to the byte, and stay so', () => {
    const random = new SeededRandom(7);
    for (let round = 0; round < 1000; round++) {
      const { text, model } = topLevel(random);
      const once = canonicalJson(Buffer.from(text));
      assert.equal(once.toString(), written(model), text);
      assert.deepEqual(canonicalJson(once), once, text);
    }
  });
  it('are refused exactly when JSON.parse refuses them', () => {
    const random = new SeededRandom(11);
    for (let round = 0; round < 3000; round++) {
      const bytes = Buffer.from(value(random, 3).text);
      bytes[random.below(bytes.length)] = random.pick([
        ...Buffer.from('"\\{}[],:0-.eu \n\u0001tn'),
      ]);
      let accepted = true;
      try {
        JSON.parse(decodeUtf8(bytes));
      } catch {
        accepted = false;
      }
      if (accepted) assert.doesNotThrow(() => parseJson(bytes), bytes.toString());
      else assert.throws(() => parseJson(bytes), JsonError, bytes.toString());
    }
  });
  it('take a key that is set and lose a key that is deleted', () => {
    const random = new SeededRandom(13);
    for (let round = 0; round < 500; round++) {
      const { text, model } = topLevel(random);
      const map = RawMap.parse(Buffer.from(text));
      const [kept, lost] = [random.pick(strings), random.pick(strings)];
      map.set(kept, quote('v'));
      model.set(kept, '"v"');
      map.delete(lost);
      model.delete(lost);
      assert.equal(map.encode().toString(), written(model), text);
    }
  });
  it('re-encode as V1Image to a fixed point', () => {
    const random = new SeededRandom(17);
    const members = [
      '"id":"a"',
      '"Created":"2015-01-01T00:00:00.10+02:00"',
      '"config":{}',
      '"config":{"Env":["<"],"Cmd":"x"}',
      '"size":7',
      '"container_config":{"Volumes":{"/b":null,"/a":{}}}',
      '"unknown":[1]',
      '"author":"\u2028"',
      '"config":null',
      '"os":null',
    ];
    for (let round = 0; round < 300; round++) {
      const text = `{${Array.from({ length: random.below(6) }, () => random.pick(members)).join(',')}}`;
      const once = encodeV1Image(decodeV1Image(Buffer.from(text)));
      assert.deepEqual(encodeV1Image(decodeV1Image(once)), once, text);
    }
  });
});
