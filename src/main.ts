#!/usr/bin/env node
import { type CommandTable, runCommandLine } from './commands/command.ts';
import { version } from './version.ts';

const COMMANDS: CommandTable = {
  serve: async () => (await import('./commands/serve.ts')).serveCommand,
  config: async () => (await import('./commands/config.ts')).configCommand,
  import: async () => (await import('./commands/import.ts')).importCommand,
  export: async () => (await import('./commands/export.ts')).exportCommand,
  'garbage-collect': async () =>
    (await import('./commands/garbage-collect.ts')).garbageCollectCommand,
  doctor: async () => (await import('./commands/doctor.ts')).doctorCommand,
  events: async () => (await import('./commands/events.ts')).eventsCommand,
};

void runCommandLine(
  'isthmus',
  `isthmus ${version()}`,
  "A container registry that serves docker's V1 and V2 protocols from one store.",
  COMMANDS,
  process.argv.slice(2),
).then((code) => process.exit(code));
