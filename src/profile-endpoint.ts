import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { type ProfileRequest, suffixOf } from './profile.ts';

const PREFIX = '/debug/pprof/';
const DEFAULT_SECONDS = 30;
const MOST_SECONDS = 300;

/** Profiles a serving process and gives the path of the file; `pid` undefined: any. Undefined when there is no such one. */
export type Profiler = (
  pid: number | undefined,
  wanted: ProfileRequest,
) => Promise<string> | undefined;

/**
 * `/debug/pprof/profile?seconds=30` and `/debug/pprof/heap`, named as Go's, in the forms of Chrome's developer tools;
 * `worker=PID` chooses a worker. Gives why a request can't be served, with its status; undefined once it was.
 */
export async function sendProfile(
  request: IncomingMessage,
  response: ServerResponse,
  profiler: Profiler,
): Promise<{ status: number; text: string } | undefined> {
  const url = new URL(request.url ?? '', 'http://localhost');
  const wanted = wantedBy(url);
  if (typeof wanted === 'string') return { status: 400, text: wanted };
  const worker = url.searchParams.get('worker');
  const made = profiler(worker === null ? undefined : Number(worker), wanted);
  if (made === undefined) {
    return { status: 404, text: `there is no worker ${worker}; /debug/vars lists them` };
  }
  let file: string;
  try {
    file = await made;
  } catch (error) {
    return { status: 503, text: (error as Error).message };
  }
  try {
    const name = `isthmus-${new Date().toISOString().replace(/[:.]/g, '-')}.${suffixOf(wanted)}`;
    response.writeHead(200, {
      'Content-Type': 'application/octet-stream',
      'Content-Disposition': `attachment; filename="${name}"`,
      'Cache-Control': 'no-store',
    });
    // Who hangs up in the middle has it no worse than we.
    await pipeline(createReadStream(file), response).catch(() => {});
  } finally {
    await rm(file, { force: true });
  }
  return undefined;
}

/** Whether a path is for this endpoint. */
export function isProfilePath(path: string): boolean {
  return path.startsWith(PREFIX);
}

function wantedBy({ pathname, searchParams }: URL): ProfileRequest | string {
  const kind = pathname.slice(PREFIX.length);
  if (kind === 'heap') return { kind };
  if (kind !== 'profile') return `there is ${PREFIX}profile?seconds=30 and ${PREFIX}heap`;
  const seconds = Number(searchParams.get('seconds') ?? DEFAULT_SECONDS);
  if (seconds > 0 && seconds <= MOST_SECONDS) return { kind: 'cpu', seconds };
  return `seconds must be a number up to ${MOST_SECONDS}`;
}
