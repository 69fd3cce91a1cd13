#!/usr/bin/env node
import { writeFileSync } from 'node:fs';
import { compare } from './compare.ts';
import { measureGrowths } from './growth.ts';
import { SERIES } from './growth-series.ts';
import { describeMachine } from './machine.ts';
import { HELP, type Options, parseOptions } from './options.ts';
import { HOME, Page } from './page.ts';
import { comparisonTable, growthTable, processorTable, warningLines } from './tables.ts';
import { WORKLOADS } from './workloads/all.ts';

const print = (line: string) => process.stdout.write(`${line}\n`);
const tell = (line: string) => process.stderr.write(`${line}\n`);

async function main(words: string[]): Promise<void> {
  const options = parseOptions(words);
  if (!options) {
    print(HELP);
    return;
  }
  if (options.list) {
    for (const { id, title } of [...WORKLOADS, ...SERIES]) print(`${id.padEnd(22)} ${title}`);
  } else if (options.growth) {
    await grow(options);
  } else {
    await measure(options);
  }
}

async function measure(options: Options): Promise<void> {
  const comparison = await compare(options, tell);
  const { rounds } = options.scale;
  const how = `medians of ${rounds} rounds, ${options.workers} workers, fsync ${options.fsync ? 'on' : 'off'}`;
  const machine = describeMachine(options.folder);
  print(comparisonTable(comparison));
  print(`\n${processorTable(comparison)}\n\n${warningLines(comparison)}`);
  if (options.json)
    writeFileSync(options.json, JSON.stringify({ machine, how, comparison }, null, 1));
  if (options.write) new Page(HOME).writeComparison(comparison, machine, how);
}

async function grow(options: Options): Promise<void> {
  const growths = await measureGrowths(options, tell);
  const how = 'one worker unless said otherwise, fsync off';
  const machine = describeMachine(options.folder);
  for (const growth of growths) print(`\n${growth.series.title}\n\n${growthTable(growth)}`);
  if (options.json) writeFileSync(options.json, JSON.stringify({ machine, how, growths }, null, 1));
  if (options.write) new Page(HOME).writeGrowth(growths, machine, how);
}

main(process.argv.slice(2)).catch((error: Error) => {
  tell(`bench: ${error.message}`);
  process.exitCode = 1;
});
