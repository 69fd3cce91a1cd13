import { describeFinding } from '../config/findings.ts';
import { loadConfig } from '../config/load.ts';
import { showConfig } from '../config/show.ts';
import { type Command, complain, print } from './command.ts';

/** `config [config]`: what the configuration comes to. */
export const configCommand: Command = {
  name: 'config',
  summary: 'checks the configuration and shows what it comes to, secrets hidden',
  usage: '[CONFIG]',
  options: {},
  optionHelp: {},
  operands: 1,
  async run([path]) {
    const { config, warnings } = loadConfig(path, process.env);
    for (const warning of warnings) complain(`warning: ${describeFinding(warning)}`);
    return print(showConfig(config));
  },
};
