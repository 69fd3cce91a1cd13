#!/usr/bin/env node
import { type Command, runCommandLine } from './commands/command.ts';
import { configCommand } from './commands/config.ts';
import { doctorCommand } from './commands/doctor.ts';
import { eventsCommand } from './commands/events.ts';
import { exportCommand } from './commands/export.ts';
import { garbageCollectCommand } from './commands/garbage-collect.ts';
import { importCommand } from './commands/import.ts';
import { serveCommand } from './commands/serve.ts';
import { version } from './version.ts';

const COMMANDS: readonly Command[] = [
  serveCommand,
  configCommand,
  importCommand,
  exportCommand,
  garbageCollectCommand,
  doctorCommand,
  eventsCommand,
];

const code = await runCommandLine(
  'isthmus',
  `isthmus ${version()}`,
  "A container registry that serves docker's V1 and V2 protocols from one store.",
  COMMANDS,
  process.argv.slice(2),
);
process.exit(code);
