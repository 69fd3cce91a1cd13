import { KIB, MIB } from './content.ts';

/** A number above 0. */
export function number(text: string | undefined, otherwise: number): number {
  const value = text === undefined ? otherwise : Number(text);
  if (!(value > 0)) throw new Error(`${text} is no number above 0`);
  return value;
}

/** A size as 1000, 64K, 256M or 1G. */
export function bytes(text: string): number {
  const [, count = '', unit = ''] = /^([\d.]+)([KMG]?)$/i.exec(text) ?? [];
  const factors: Record<string, number> = { '': 1, K: KIB, M: MIB, G: 1024 * MIB };
  const value = Math.round(Number(count) * (factors[unit.toUpperCase()] ?? 1));
  if (!(value > 0)) throw new Error(`${text} is no size such as 256M`);
  return value;
}

/** As of `nice`: less is sooner. */
export function priority(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < -20 || value > 19) {
    throw new Error(`${text} is no priority from -20 to 19`);
  }
  return value;
}

/** `A=1 B=2`. */
export function environment(words: string): Record<string, string> {
  return Object.fromEntries(pairs(words.split(' ').filter((word) => word !== '')));
}

/** The same for some targets, which must be among `names`. */
export function pairsOf(names: readonly string[], words: readonly string[]): Map<string, string> {
  const found = pairs(words);
  for (const name of found.keys()) {
    if (!names.includes(name)) throw new Error(`there is no target ${name}`);
  }
  return found;
}

/** `NAME=VALUE`, each. */
export function pairs(words: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const word of words) {
    const at = word.indexOf('=');
    if (at < 1) throw new Error(`${word} is not NAME=VALUE`);
    const name = word.slice(0, at);
    if (found.has(name)) throw new Error(`${name} is given twice`);
    found.set(name, word.slice(at + 1));
  }
  return found;
}
