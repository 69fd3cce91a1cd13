#!/usr/bin/env node
import { type Command, runCommandLine, UsageError } from '../commands/command.ts';
import { serveCommand } from '../commands/serve.ts';
import { version } from '../version.ts';

/** distribution's command line (v2.md 5.1): the configuration must be named. */
const serve: Command = {
  ...serveCommand,
  usage: 'CONFIG',
  async run(operands, options) {
    if (operands[0] === undefined && !process.env.REGISTRY_CONFIGURATION_PATH) {
      throw new UsageError('configuration error: configuration path unspecified');
    }
    return serveCommand.run(
      [operands[0] ?? process.env.REGISTRY_CONFIGURATION_PATH ?? ''],
      options,
    );
  },
};

const code = await runCommandLine(
  'registry',
  `registry isthmus ${version()}`,
  'Isthmus under the command line of distribution.',
  [serve],
  process.argv.slice(2),
);
process.exit(code);
