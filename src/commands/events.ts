import type { Logger } from '../../protocols/registry.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import { loadConfig } from '../config/load.ts';
import {
  backlogs,
  type DeadLetter,
  DeadLetters,
  type EndpointBacklog,
} from '../events/dead-letters.ts';
import { MAX_EVENTS } from '../events/event-sink.ts';
import { openContent } from '../open-registry.ts';
import { type Command, complain, print, UsageError } from './command.ts';

/** `events list|show|replay [CONFIG]`: what waits for the notification endpoints, and what was given up. */
export const eventsCommand: Command = {
  name: 'events',
  summary: 'lists events that wait for notification endpoints; shows and replays dead letters',
  usage: 'list|show|replay [CONFIG]',
  options: { endpoint: { type: 'string', short: 'e' }, id: { type: 'string', multiple: true } },
  optionHelp: {
    endpoint: 'only this endpoint, by its name in the configuration',
    id: 'only the event with this id; may be given several times',
  },
  operands: 2,
  async run([what, path], options) {
    const { config } = loadConfig(path, process.env, 'offline');
    const content = openContent(config, quiet);
    try {
      const ids = Array.isArray(options.id) ? options.id.map(String) : [];
      const endpoint = typeof options.endpoint === 'string' ? options.endpoint : undefined;
      return await runEvents(what, content.driver, { endpoint, ids });
    } finally {
      await content.close();
    }
  },
};

const quiet: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** Which dead letters are meant: all of them where nothing is said. */
export interface EventSelection {
  endpoint: string | undefined;
  ids: readonly string[];
}

async function runEvents(
  what: string | undefined,
  driver: StorageDriver,
  selection: EventSelection,
): Promise<number> {
  const all = await backlogs(driver);
  const chosen = all.filter(
    ({ name }) => selection.endpoint === undefined || selection.endpoint === name,
  );
  if (selection.endpoint !== undefined && chosen.length === 0) {
    const names = all.map(({ name }) => name).join(', ') || 'none';
    return complain(`no events were ever sent to "${selection.endpoint}"; known: ${names}`);
  }
  switch (what) {
    case 'list':
      return print(listing(chosen));
    case 'show':
      return print(await deadLettersText(driver, chosen, selection));
    case 'replay':
      return print(`${await replay(driver, chosen, selection)} events queued again\n`);
    default:
      throw new UsageError('say what to do: list, show or replay');
  }
}

function listing(chosen: readonly EndpointBacklog[]): string {
  if (chosen.length === 0) return 'no event ever waited\n';
  const rows = chosen.map(({ name, pending, dead, oldest }) => {
    const since =
      oldest === undefined ? '' : `, the oldest since ${new Date(oldest).toISOString()}`;
    return `${name}: ${pending} waiting${since}; ${dead} dead letters\n`;
  });
  return rows.join('');
}

async function deadLettersText(
  driver: StorageDriver,
  chosen: readonly EndpointBacklog[],
  selection: EventSelection,
): Promise<string> {
  let text = '';
  for (const { key, name } of chosen) {
    for await (const { letters } of new DeadLetters(key, driver, MAX_EVENTS).letters()) {
      for (const letter of letters.filter((each) => isWanted(each, selection)))
        text += `${JSON.stringify({ endpoint: name, ...letter })}\n`;
    }
  }
  return text;
}

async function replay(
  driver: StorageDriver,
  chosen: readonly EndpointBacklog[],
  selection: EventSelection,
): Promise<number> {
  let count = 0;
  for (const { key } of chosen) {
    const dead = new DeadLetters(key, driver, MAX_EVENTS);
    count += await dead.replay((letter) => isWanted(letter, selection));
  }
  return count;
}

function isWanted({ event }: DeadLetter, { ids }: EventSelection): boolean {
  if (ids.length === 0) return true;
  return ids.includes(String((event as { id?: unknown } | null)?.id));
}
