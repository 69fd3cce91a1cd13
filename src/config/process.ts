import { availableParallelism } from 'node:os';
import type { Section } from './reader.ts';

export interface LogConfig {
  /** Lines below this level are not written. Default info. */
  level: LogLevel;
  /** `json`, `human`, or `auto`: human on a terminal, JSON elsewhere. Default auto. */
  format: 'auto' | 'json' | 'human';
  /** Added to every line. */
  fields: Record<string, string>;
  /** File of the log; `-` for standard error. Default `-`. */
  file: string;
  access: AccessLogConfig;
  audit: AuditConfig;
}

/** Who pushed, pulled and deleted what. */
export interface AuditConfig {
  /** File of the audit log; `-` for standard output; undefined for none. Default undefined. */
  file: string | undefined;
  /** Whether pulls are written, too. Default true. */
  pulls: boolean;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface AccessLogConfig {
  /** One line for each request: `auto` as the log, JSON, Apache's combined, human, or none. Default auto; combined with distribution's config. */
  format: 'auto' | 'json' | 'combined' | 'human' | 'none';
  /** File of the access log; `-` for standard output. Default `-`. */
  file: string;
}

/** Master and workers, by gunicorn's words (v1.md 4.4). */
export interface WorkersConfig {
  /** Worker processes; 1 serves in the one process, without a master. Default 1. */
  count: number;
  /** Seconds without a sign of life until a worker is killed; 0 for never. Default 3600. */
  silentSeconds: number;
  /** Requests after which a worker is replaced; 0 for never. Default 0. */
  maxRequests: number;
  /** Up to so many requests more, by chance, so that workers are not replaced all at once. Default 0. */
  maxRequestsJitter: number;
  /** User name or number to become, when started by root; undefined to stay. */
  user: string | undefined;
  group: string | undefined;
  /** File that holds the master's process ID; undefined for none. */
  pidFile: string | undefined;
}

const LEVELS = [
  'debug',
  'info',
  'warn',
  'warning',
  'error',
  'critical',
  'fatal',
  'panic',
  'trace',
] as const;

/** The sections `log` and `process.*_log_file`, and distribution's old `loglevel`. */
export function readLog(root: Section, defaults: { access: AccessLogConfig['format'] }): LogConfig {
  const log = root.section('log');
  const formatter = log.choice('formatter', ['text', 'json', 'logstash']);
  const format = log.choice('format', ['auto', 'json', 'human']);
  const access = log.section('accesslog');
  const disabled = access.boolean('disabled', false);
  const audit = log.section('audit');
  const process = root.section('process');
  log.idle('reportcaller');
  log.ignore('hooks');
  return {
    level: levelOf(log.choice('level', LEVELS) ?? root.choice('loglevel', LEVELS) ?? 'info'),
    format: format ?? (formatter === 'json' || formatter === 'logstash' ? 'json' : 'auto'),
    fields: log.stringMap('fields'),
    file: log.string('file') ?? process.string('error_log_file', '-'),
    access: {
      format: disabled
        ? 'none'
        : access.choice('format', ['auto', 'json', 'combined', 'human', 'none'], defaults.access),
      file: access.string('file') ?? process.string('access_log_file', '-'),
    },
    audit: { file: audit.string('file'), pulls: audit.boolean('pulls', true) },
  };
}

/** docker-registry's and distribution's names for levels, in ours. */
function levelOf(word: (typeof LEVELS)[number]): LogLevel {
  switch (word) {
    case 'trace':
      return 'debug';
    case 'warning':
      return 'warn';
    case 'critical':
    case 'fatal':
    case 'panic':
      return 'error';
    default:
      return word;
  }
}

/** The key `workers` and the section `process`. */
export function readWorkers(root: Section, defaults: { workers: number | 'auto' }): WorkersConfig {
  const process = root.section('process');
  return {
    count: readCount(root, defaults.workers),
    silentSeconds: process.duration('silent_timeout', 3600),
    maxRequests: process.integer('max_requests', {}, 0),
    maxRequestsJitter: process.integer('max_requests_jitter', {}, 0),
    user: process.string('user'),
    group: process.string('group'),
    pidFile: process.string('pid_file'),
  };
}

function readCount(root: Section, fallback: number | 'auto'): number {
  const text = root.string('workers') ?? String(fallback);
  if (text === 'auto') return availableParallelism();
  return root.integer('workers', { min: 1, max: 256 }, Number(text) || 1);
}
