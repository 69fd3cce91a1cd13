import { JsonError } from './json-scanner.ts';

/** What Go writes for a time that was never set. */
export const ZERO_TIME = '0001-01-01T00:00:00Z';

const TIME =
  /^(\d{4})-(\d{2})-(\d{2})T([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:\.(\d+))?(Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;

/** An RFC 3339 time as Go reads and writes it again (bridge.md 9.3); throws JsonError. */
export function canonicalTime(text: string): string {
  const match = TIME.exec(text);
  if (match === null) throw new JsonError(`invalid time ${JSON.stringify(text.slice(0, 64))}`);
  const [, year = '', month = '', day = '', hour, minute, second, digits = '', zone = ''] = match;
  if (Number(day) < 1 || Number(day) > daysOf(Number(year), Number(month))) {
    throw new JsonError(`no such day: ${year}-${month}-${day}`);
  }
  const fraction = digits.slice(0, 9).replace(/0+$/, '');
  const point = fraction === '' ? '' : '.';
  const offset = zone === '+00:00' || zone === '-00:00' ? 'Z' : zone;
  return `${year}-${month}-${day}T${hour}:${minute}:${second}${point}${fraction}${offset}`;
}

function daysOf(year: number, month: number): number {
  if (month < 1 || month > 12) return 0;
  if (month !== 2) return [4, 6, 9, 11].includes(month) ? 30 : 31;
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
}
