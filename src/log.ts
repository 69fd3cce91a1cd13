import { isatty } from 'node:tty';
import type { Logger } from '../protocols/registry.ts';
import type { LogConfig, LogLevel } from './config/process.ts';
import { LineWriter } from './log-writer.ts';

const ORDER: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };

export type Fields = Record<string, unknown>;

/** A Logger that can be ended and can follow log rotation. */
export interface ProcessLogger extends Logger {
  readonly human: boolean;
  /** Opens the file again under its name (signal USR1). */
  reopen(): void;
  /** Writes everything that is still held; for the end of the process. */
  flush(): void;
}

/** The logger that `config` describes. `fields` stand on every line, beside those of the configuration. */
export function createLogger(config: LogConfig, fields: Fields = {}): ProcessLogger {
  const writer = new LineWriter(config.file, 2);
  const human = isHuman(config.format, writer);
  const color = human && isatty(writer.descriptor);
  const fixed = { ...config.fields, ...fields };
  const format = human
    ? (level: LogLevel, event: string, more: Fields) =>
        humanLine(level, event, { ...fixed, ...more }, color)
    : (level: LogLevel, event: string, more: Fields) =>
        jsonLine(level, event, { ...fixed, ...more });
  const logAt = (level: LogLevel) =>
    ORDER[level] < ORDER[config.level]
      ? () => {}
      : (event: string, more: Fields = {}) => writer.write(format(level, event, more));
  return {
    human,
    debug: logAt('debug'),
    info: logAt('info'),
    warn: logAt('warn'),
    error: logAt('error'),
    reopen: () => writer.reopen(),
    flush: () => writer.flushSync(),
  };
}

/** Whether lines are for people: said so, or `auto` on a terminal. */
export function isHuman(format: string, writer: LineWriter): boolean {
  return format === 'human' || (format === 'auto' && isatty(writer.descriptor));
}

/** One line of JSON; never fails, whatever the fields hold. */
export function jsonLine(level: LogLevel, event: string, fields: Fields): string {
  const head = { time: new Date().toISOString(), level, event };
  try {
    return JSON.stringify({ ...head, ...fields }, plainValue);
  } catch {
    return JSON.stringify({ ...head, unprintable: Object.keys(fields) });
  }
}

function plainValue(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (!(value instanceof Error)) return value;
  const { cause } = value;
  return { message: value.message, stack: value.stack, ...(cause === undefined ? {} : { cause }) };
}

const LABEL: Record<LogLevel, string> = {
  debug: 'debug',
  info: 'info ',
  warn: 'WARN ',
  error: 'ERROR',
};
const COLOR: Record<LogLevel, string> = {
  debug: '\x1b[2m',
  info: '\x1b[32m',
  warn: '\x1b[33m',
  error: '\x1b[31m',
};

/** `12:30:01.123 WARN  event  key=value`. */
export function humanLine(level: LogLevel, event: string, fields: Fields, color: boolean): string {
  const time = new Date().toISOString().slice(11, 23);
  const label = color ? `${COLOR[level]}${LABEL[level]}\x1b[0m` : LABEL[level];
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${humanValue(value)}`);
  return [`${time} ${label} ${printable(event)}`, ...pairs].join('  ');
}

function humanValue(value: unknown): string {
  if (value instanceof Error) return value.stack ?? value.message;
  if (typeof value === 'string')
    return /^[\x21-\x7e]+$/.test(value) ? value : JSON.stringify(value);
  return jsonOf(value);
}

function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value, plainValue) ?? String(value);
  } catch {
    return String(value);
  }
}

/** Without control characters, which could move a terminal's cursor or forge a line. */
function printable(text: string): string {
  return text.replace(
    /\p{Cc}/gu,
    (each) => `\\x${each.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}
