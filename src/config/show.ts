import { stringify } from 'yaml';
import type { Config } from './config.ts';
import { isSecretKey } from './secrets.ts';

const HIDDEN = '(hidden)';

/** The resolved configuration as YAML, secrets hidden. */
export function showConfig(config: Config): string {
  return stringify(hideSecrets(config), { lineWidth: 0, sortMapEntries: false });
}

function hideSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(hideSecrets);
  if (typeof value === 'string') return hideUserInfo(value);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => {
      const hide = isSecretKey(key) && each !== undefined && typeof each !== 'boolean';
      return [key, hide ? HIDDEN : hideSecrets(each === undefined ? null : each)];
    }),
  );
}

/** `https://user:password@host` keeps its host only. */
function hideUserInfo(text: string): string {
  return text.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]+@/i, `$1${HIDDEN}@`);
}
