import type { AccessLogConfig } from './config/process.ts';
import { humanLine, isHuman } from './log.ts';
import { LineWriter } from './log-writer.ts';

/** One request that was answered, or broken off. */
export interface RequestRecord {
  method: string;
  /** Path and query as sent. */
  path: string;
  httpVersion: string;
  /** Undefined where the route has no repository. */
  repository: string | undefined;
  status: number;
  /** Bytes of the answer's body that were sent. */
  bytes: number;
  /** Milliseconds from the request's headers to the end of the answer. */
  ms: number;
  requestId: string;
  address: string;
  user: string | undefined;
  userAgent: string | undefined;
  referer: string | undefined;
  /** Whether the client went away before the answer was complete. */
  aborted: boolean;
}

export interface AccessLog {
  record(request: RequestRecord): void;
  /** Opens the file again under its name (signal USR1). */
  reopen(): void;
  flush(): void;
}

/** A busy server answers many requests in this time, and writes their lines at once. */
const GATHER_MS = 10;

/** The access log that `config` describes: one line for each request. */
export function createAccessLog(config: AccessLogConfig): AccessLog {
  if (config.format === 'none') return { record: () => {}, reopen: () => {}, flush: () => {} };
  const writer = new LineWriter(config.file, 1, GATHER_MS);
  const format =
    config.format === 'combined'
      ? combinedLine
      : isHuman(config.format, writer)
        ? humanRequest
        : jsonRequest;
  return {
    record: (request) => writer.write(format(request)),
    reopen: () => writer.reopen(),
    flush: () => writer.flushSync(),
  };
}

/** Put together by hand: only what the client chose can hold a character that JSON must escape. */
function jsonRequest(request: RequestRecord): string {
  const { method, path, repository, status, bytes, ms, requestId, address, user, userAgent } =
    request;
  const text = (name: string, value: string | undefined) =>
    value === undefined ? '' : `,"${name}":${JSON.stringify(value)}`;
  return `{"time":"${isoTime()}","level":"info","event":"request","method":"${method}"${text('path', path)}${text('repository', repository)},"status":${status},"bytes":${bytes},"ms":${ms}${text('requestId', requestId)}${text('address', address)}${text('user', user)}${text('userAgent', userAgent)}${request.aborted ? ',"aborted":true' : ''}}`;
}

let lastMillisecond = 0;
let lastIsoTime = '';

/** The time to the millisecond; requests within the same one share its text. */
function isoTime(): string {
  const now = Date.now();
  if (now !== lastMillisecond) {
    lastMillisecond = now;
    lastIsoTime = new Date(now).toISOString();
  }
  return lastIsoTime;
}

function humanRequest(request: RequestRecord): string {
  const { method, path, status, bytes, ms, requestId, aborted } = request;
  const what = `${method} ${path} → ${aborted ? 'broken off' : status}`;
  return humanLine(status >= 500 ? 'error' : 'info', what, { bytes, ms, id: requestId }, false);
}

/** Apache's combined format. */
export function combinedLine(request: RequestRecord): string {
  const { address, user, method, path, httpVersion, status, bytes, referer, userAgent } = request;
  const line = `${method} ${path} HTTP/${httpVersion}`;
  return `${address} - ${quotable(user ?? '-')} [${commonLogTime()}] "${quotable(line)}" ${status} ${bytes} "${quotable(referer ?? '-')}" "${quotable(userAgent ?? '-')}"`;
}

const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');
let lastSecond = 0;
let lastTime = '';

/** `24/Nov/2026:15:03:00 +0000`; made once a second. */
function commonLogTime(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== lastSecond) {
    const [date = '', time = ''] = new Date(second * 1000).toISOString().slice(0, 19).split('T');
    const [year, month, day] = date.split('-');
    lastTime = `${day}/${MONTHS[Number(month) - 1]}/${year}:${time} +0000`;
    lastSecond = second;
  }
  return lastTime;
}

/** As Apache does: quotes, backslashes and everything that is no printable ASCII, escaped. */
function quotable(text: string): string {
  return text.replace(/["\\]|[^\x20-\x7e]/g, (each) =>
    each === '"' || each === '\\'
      ? `\\${each}`
      : `\\x${each.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}
