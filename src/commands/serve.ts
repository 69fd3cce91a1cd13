import { announce } from '../banner.ts';
import { describeFinding } from '../config/findings.ts';
import { loadConfig } from '../config/load.ts';
import { createLogger } from '../log.ts';
import { warnOfOldTree } from '../old-tree-notice.ts';
import { superviseUntilStopped } from '../workers.ts';
import type { Command } from './command.ts';

/** `serve [config]`: the registry itself. */
export const serveCommand: Command = {
  name: 'serve',
  summary: 'runs the registry',
  usage: '[CONFIG]',
  options: {},
  optionHelp: {},
  operands: 1,
  async run([path]) {
    const { config, warnings } = loadConfig(path, process.env);
    const log = createLogger(config.log);
    process.on('exit', () => log.flush());
    for (const warning of warnings) log.warn(describeFinding(warning));
    process.on('uncaughtExceptionMonitor', (error) =>
      log.error('the process ends by a bug', { error }),
    );
    await warnOfOldTree(config, log);
    await superviseUntilStopped(
      config,
      log,
      () => loadConfig(path, process.env),
      (address) => announce(config, address, log),
    );
    log.info('stopped');
    return 0;
  },
};
