/** What an Authorization header says, before anybody has checked it. */
export type Credentials =
  | { kind: 'none' }
  | { kind: 'basic'; user: string; password: string }
  | { kind: 'bearer'; token: string }
  | { kind: 'v1'; tokens: V1TokenFields[] }
  | { kind: 'unknown' };

/** The fields of one V1 token, as the client gave them (v1.md 1.2). */
export interface V1TokenFields {
  signature: string | undefined;
  repository: string | undefined;
  access: string | undefined;
}

const MOST_V1_TOKENS = 8;
const LONGEST_NAME = 255;

/**
 * Reads an Authorization header. Docker up to 1.6 sends `Basic Og==` (an empty name and password) or a bare `Token`
 * when nobody is logged in: both are no credentials.
 */
export function parseCredentials(header: string | undefined): Credentials {
  const [, scheme = '', rest = ''] = /^\s*([A-Za-z]+)(?:\s+([\s\S]*))?$/.exec(header ?? '') ?? [];
  switch (scheme.toLowerCase()) {
    case 'basic':
      return parseBasic(rest.trim());
    case 'bearer':
      return /^[A-Za-z0-9._~+/=-]+$/.test(rest.trim())
        ? { kind: 'bearer', token: rest.trim() }
        : { kind: 'unknown' };
    case 'token':
      return parseV1Tokens(rest);
    default:
      return (header ?? '').trim() === '' ? { kind: 'none' } : { kind: 'unknown' };
  }
}

/** The header that says the same; undefined for a name that Basic cannot carry. */
export function basicHeader(user: string, password: string): string | undefined {
  if (user.includes(':')) return undefined;
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

function parseBasic(text: string): Credentials {
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(text)) return { kind: 'unknown' };
  const decoded = Buffer.from(text, 'base64').toString();
  const colon = decoded.indexOf(':');
  const user = decoded.slice(0, colon);
  const password = decoded.slice(colon + 1);
  if (colon < 0 || user.length > LONGEST_NAME || /\p{Cc}/u.test(decoded)) {
    return { kind: 'unknown' };
  }
  if (user === '') return { kind: password === '' ? 'none' : 'unknown' };
  return { kind: 'basic', user, password };
}

/** Engines up to 1.6 join the tokens that they were given by commas, each with a `Token ` of its own. */
function parseV1Tokens(text: string): Credentials {
  if (/^(\s*token)*\s*$/i.test(text)) return { kind: 'none' };
  const tokens: Map<string, string>[] = [];
  for (const [, key = '', value = ''] of text.matchAll(/(?<!\w)(\w+)\s*[:=]\s*"?([^",]*)/g)) {
    const name = key.toLowerCase();
    if (tokens.length === 0 || tokens.at(-1)?.has(name)) tokens.push(new Map());
    if (tokens.length > MOST_V1_TOKENS) return { kind: 'unknown' };
    tokens.at(-1)?.set(name, value.trim());
  }
  if (tokens.length === 0) return { kind: 'unknown' };
  return {
    kind: 'v1',
    tokens: tokens.map((fields) => ({
      signature: fields.get('signature'),
      repository: fields.get('repository'),
      access: fields.get('access'),
    })),
  };
}
