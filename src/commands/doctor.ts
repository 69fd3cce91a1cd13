import { checkHost } from '../doctor/doctor.ts';
import { describeDiagnosis } from '../doctor/finding.ts';
import { checkUrl } from '../doctor/remote-checks.ts';
import { type Command, print } from './command.ts';

/** `doctor [URL]`: why it does not work, and what to do. Exits with 1 when there is a problem. */
export const doctorCommand: Command = {
  name: 'doctor',
  summary: 'looks for what keeps a registry from working, and names the fix',
  usage: '[URL]',
  options: {
    config: { type: 'string', short: 'c' },
    login: { type: 'string', short: 'l' },
    json: { type: 'boolean' },
  },
  optionHelp: {
    config: 'configuration of this host; without URL only',
    login: 'USER:PASSWORD of somebody who may push; nothing stays in the registry',
    json: 'one line of JSON for each finding',
  },
  operands: 1,
  async run([url], { config, login, json }) {
    const path = typeof config === 'string' ? config : undefined;
    const found =
      url === undefined
        ? await checkHost(path, process.env)
        : await checkUrl(url, typeof login === 'string' ? { login } : {});
    for (const each of found)
      print(json === true ? `${JSON.stringify(each)}\n` : describeDiagnosis(each));
    return found.some(({ verdict }) => verdict === 'problem') ? 1 : 0;
  },
};
