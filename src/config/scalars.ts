/** Readings of one scalar's text. Each gives undefined when the text does not say such a value. */

/** YAML 1.1's spellings, as docker-registry and distribution took them: true/yes/on and false/no/off. */
export function parseBoolean(text: string): boolean | undefined {
  if (/^(true|True|TRUE|yes|Yes|YES|on|On|ON)$/.test(text)) return true;
  if (/^(false|False|FALSE|no|No|NO|off|Off|OFF)$/.test(text)) return false;
  return undefined;
}

/** YAML 1.1's integers: decimal, `0x1f`, `0b11`, octal `0755` and `0o755`, base 60 `1:30`, `_` between digits. */
export function parseInteger(text: string): number | undefined {
  const sign = text.startsWith('-') ? -1 : 1;
  const digits = text.replace(/^[-+]/, '').replaceAll('_', '');
  const value = magnitude(digits);
  return value !== undefined && Number.isSafeInteger(value) ? sign * value : undefined;
}

function magnitude(digits: string): number | undefined {
  if (/^(0|[1-9]\d*)$/.test(digits)) return Number(digits);
  if (/^0o?[0-7]+$/.test(digits)) return Number.parseInt(digits.replace('o', ''), 8);
  if (/^0x[0-9a-fA-F]+$/.test(digits) || /^0b[01]+$/.test(digits)) return Number(digits);
  if (/^[1-9]\d*(:[0-5]?\d)+$/.test(digits)) {
    return digits.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
  }
  return undefined;
}

const SECONDS: Record<string, number> = {
  ns: 1e-9,
  us: 1e-6,
  µs: 1e-6,
  μs: 1e-6,
  ms: 1e-3,
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
};

/** Seconds from `10s`, `1h30m`, `500ms`, `7d`; a bare number counts in `bareUnit` seconds. */
export function parseDuration(text: string, bareUnit: number): number | undefined {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * bareUnit;
  if (!/^(\d+(\.\d+)?(ns|us|µs|μs|ms|s|m|h|d))+$/.test(text)) return undefined;
  let seconds = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|μs|ms|s|m|h|d)/g)) {
    seconds += Number(amount) * (SECONDS[unit ?? ''] ?? 0);
  }
  return seconds;
}

const POWERS = ['', 'k', 'm', 'g', 't'];

/** Bytes from `4194304`, `4MiB`, `4M` (both 1024-based), `4MB` (1000-based). */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?(?:([kmgt])(i?b)?|b)?$/i.exec(text);
  if (match === null) return undefined;
  const base = match[3]?.toLowerCase() === 'b' ? 1000 : 1024;
  const value = Number(match[1]) * base ** POWERS.indexOf((match[2] ?? '').toLowerCase());
  return Number.isSafeInteger(Math.round(value)) ? Math.round(value) : undefined;
}

/** Where to listen: a TCP address, or the path of a unix socket. */
export type ListenAddress =
  | { kind: 'tcp' /** '' for every address. */; host: string; port: number }
  | { kind: 'unix'; path: string };

/** `:5000`, `127.0.0.1:5000`, `[::1]:5000`, `unix:/run/x.sock` (Go's and gunicorn's forms). */
export function parseAddress(text: string): ListenAddress | undefined {
  const unix = /^unix:(?:\/\/)?(.+)$/.exec(text);
  if (unix?.[1] !== undefined) return { kind: 'unix', path: unix[1] };
  const tcp = /^(?:\[([^\]]*)\]|([^:[\]/]*)):(\d{1,5})$/.exec(text);
  if (tcp === null || Number(tcp[3]) > 65_535) return undefined;
  return { kind: 'tcp', host: tcp[1] ?? tcp[2] ?? '', port: Number(tcp[3]) };
}
