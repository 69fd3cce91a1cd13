import type { Config } from './config.ts';
import type { Finding } from './findings.ts';

/** Settings that are read and checked but not acted upon yet; a row goes when its feature comes. */
const LATER: { path: string; given: (config: Config) => boolean; effect: string }[] = [
  {
    path: 'proxy.remoteurl',
    given: (c) => c.proxy !== undefined,
    effect: 'nothing is fetched from upstream',
  },
  {
    path: 'email_exceptions.smtp_host',
    given: (c) => c.mail !== undefined,
    effect: 'no mail is sent',
  },
  {
    path: 'privileged_key',
    given: (c) => c.protocols.v1.privilegedKeyFile !== undefined,
    effect: 'no X-Signature is accepted',
  },
];

/** One warning for each setting in use that this version reads without acting upon it. */
export function warningsOfLaterWork(config: Config): Finding[] {
  return LATER.filter(({ given }) => given(config)).map(({ path, effect }) => ({
    path,
    origin: undefined,
    message: `understood, but without effect in this version: ${effect}`,
  }));
}
