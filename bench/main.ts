#!/usr/bin/env node
import { writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { compare } from './compare.ts';
import { judge, readGoals } from './goals.ts';
import { measureGrowths } from './growth.ts';
import { SERIES } from './growth-series.ts';
import { HELP } from './help.ts';
import { describeMachine } from './machine.ts';
import { type Options, parseOptions } from './options.ts';
import { HOME, Page } from './page.ts';
import { STARTS } from './starts.ts';
import { comparisonTable, growthTable, processorTable, warningLines } from './tables.ts';
import { WORKLOADS } from './workloads/all.ts';
import { type Kind, UNITS } from './workloads/workload.ts';

/** Exit status; 1 is for what went wrong. */
const GOALS_MISSED = 3;

const print = (line: string) => process.stdout.write(`${line}\n`);
const tell = (line: string) => process.stderr.write(`${line}\n`);

async function main(words: string[]): Promise<void> {
  const options = parseOptions(words);
  if (!options) {
    print(HELP);
    return;
  }
  // Threads and servers that are started from here on inherit it.
  if (options.nice !== undefined) setPriority(options.nice);
  if (options.list) {
    for (const { id, kind, title } of list()) {
      print(`${id.padEnd(22)} ${UNITS[kind].padEnd(6)} ${title}`);
    }
  } else if (options.growth) {
    await grow(options);
  } else {
    await measure(options);
  }
}

/** All that can be measured: workloads, what is measured around them, and series. */
function list(): { id: string; kind: Kind; title: string }[] {
  return [...WORKLOADS, ...Object.values(STARTS), ...SERIES];
}

async function measure(options: Options): Promise<void> {
  const goals = options.goals === undefined ? undefined : readGoals(options.goals);
  const start = performance.now();
  const comparison = await compare(options, tell);
  const { rounds } = options.scale;
  const mode = options.scale.full ? 'full' : 'quick';
  const how = `${mode}, medians of ${rounds} rounds, ${options.workers} workers, fsync ${options.fsync ? 'on' : 'off'} unless a name says otherwise`;
  const machine = describeMachine(options.folder);
  print(comparisonTable(comparison));
  print(`\n${processorTable(comparison)}\n\n${warningLines(comparison)}`);
  if (options.json)
    writeFileSync(options.json, JSON.stringify({ machine, how, comparison }, null, 1));
  if (options.write) new Page(HOME).writeComparison(comparison, machine, how);
  print(`\n${how}, ${((performance.now() - start) / 1000).toFixed()} s`);
  if (!goals) return;
  const { lines, missed } = judge(comparison, goals);
  for (const line of lines) print(line);
  if (missed > 0) process.exitCode = GOALS_MISSED;
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
