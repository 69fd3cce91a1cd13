#!/usr/bin/env node
import { type Command, runCommandLine, UsageError } from '../commands/command.ts';
import { version } from '../version.ts';

/** distribution's command line (v2.md 5.1): the configuration must be named. */
function withNamedConfig(command: Command): Command {
  return {
    ...command,
    usage: command.usage.replace('[CONFIG]', 'CONFIG'),
    async run(operands, options) {
      const path = operands[0] ?? process.env.REGISTRY_CONFIGURATION_PATH;
      if (!path) throw new UsageError('configuration error: configuration path unspecified');
      return command.run([path], options);
    },
  };
}

void runCommandLine(
  'registry',
  `registry isthmus ${version()}`,
  'Isthmus under the command line of distribution.',
  {
    serve: async () => withNamedConfig((await import('../commands/serve.ts')).serveCommand),
    'garbage-collect': async () =>
      withNamedConfig((await import('../commands/garbage-collect.ts')).garbageCollectCommand),
  },
  process.argv.slice(2),
).then((code) => process.exit(code));
