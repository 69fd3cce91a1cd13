import type { Context } from 'koa';

/**
 * JSON in the form that docker-registry wrote: keys sorted, `", "` and `": "` between, ASCII only (v1.md 1.1).
 * Old clients and scripts compare bodies as text. A Map is written as an object.
 */
export function legacyJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(legacyJson).join(', ')}]`;
  if (value instanceof Map) return object([...value]);
  if (typeof value === 'object' && value !== null) return object(Object.entries(value));
  return escaped(JSON.stringify(value ?? null));
}

function object(entries: [string, unknown][]): string {
  const members = entries
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${escaped(JSON.stringify(key))}: ${legacyJson(value)}`);
  return `{${members.join(', ')}}`;
}

function escaped(text: string): string {
  return text.replace(/[\u007f-\uffff]/g, (unit) => {
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

/** Answers with JSON that nobody may keep. */
export function sendJson(ctx: Context, status: number, value: unknown): void {
  ctx.status = status;
  forbidCaching(ctx);
  ctx.set('Content-Type', 'application/json');
  ctx.body = Buffer.from(legacyJson(value));
}

const NOT_CACHED_FIELDS = { 'Cache-Control': 'no-cache', Pragma: 'no-cache', Expires: '-1' };

/** The headers, names and values in turn, of every answer that may differ the next time (v1.md 1.1). */
export const NOT_CACHED: readonly string[] = Object.entries(NOT_CACHED_FIELDS).flat();

/** Sets the same on Koa's answer. */
export function forbidCaching(ctx: Context): void {
  ctx.set(NOT_CACHED_FIELDS);
}
