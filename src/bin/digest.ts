#!/usr/bin/env node
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { parseArgs } from 'node:util';
import { version } from '../version.ts';

const ALGORITHMS = ['sha256', 'sha384', 'sha512'];
const USAGE = `usage: digest [-a ${ALGORITHMS.join('|')}] [FILE…]\n`;

/** Prints `algorithm:hex<TAB>name` for each file, or for standard input (v2.md 5.1). Gives the exit code. */
async function main(words: string[]): Promise<number> {
  // Go's flag package takes long options with one dash, too.
  const args = words.map((word) => word.replace(/^-(algorithm|version|help)\b/, '--$1'));
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      algorithm: { type: 'string', short: 'a', default: 'sha256' },
      version: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return write(USAGE);
  if (values.version) return write(`digest isthmus ${version()}\n`);
  const { algorithm } = values;
  if (!ALGORITHMS.includes(algorithm))
    return complain(`unknown algorithm ${algorithm}; use ${ALGORITHMS.join(', ')}`);
  let code = 0;
  for (const name of positionals.length > 0 ? positionals : ['-']) {
    try {
      const digest = await digestOf(
        name === '-' ? process.stdin : createReadStream(name),
        algorithm,
      );
      write(`${digest}\t${name}\n`);
    } catch (error) {
      code = complain(`digest: ${name}: ${(error as Error).message}`);
    }
  }
  return code;
}

async function digestOf(source: Readable, algorithm: string): Promise<string> {
  const hash = createHash(algorithm);
  for await (const chunk of source) hash.update(chunk);
  return `${algorithm}:${hash.digest('hex')}`;
}

function write(text: string): number {
  process.stdout.write(text);
  return 0;
}

function complain(text: string): number {
  process.stderr.write(`${text}\n`);
  return 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.exitCode = complain(`${(error as Error).message}\n${USAGE}`);
}
