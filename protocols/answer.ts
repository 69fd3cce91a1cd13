import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import type { Context } from 'koa';

/** What is noted about a request while it is answered, for its log line, its metrics and its events. */
export interface RequestNotes {
  requestId?: string;
  repository?: string;
  user?: string | undefined;
  /** Bytes of the body that is being sent, where the answer was not Koa's. */
  bodyLength?: number;
}

/** A request as answers are decided from it. A Koa context is one. */
export interface Incoming {
  readonly req: IncomingMessage;
  readonly state: RequestNotes;
}

/** Writes a body and ends the stream; calls `begin` once it is certain that there is something to write. */
export type BodySource = (out: Writable, begin: () => void) => Promise<void>;

/** An answer that is decided and not yet sent. */
export interface Answer {
  status: number;
  /** Names and values in turn, without Content-Length. */
  headers: string[];
  /** Bytes of the body that a GET gets; undefined where there can be none (304). */
  length?: number;
  body?: Buffer | BodySource;
}

const SENT = Promise.resolve();

/** JSON, or other bytes at hand. */
export function answerWith(status: number, headers: string[], body: Buffer): Answer {
  return { status, headers, length: body.length, body };
}

/**
 * Sends an answer. Fails before anything is sent when the body's source does, so that another answer can be given;
 * later failures cut the connection, which is how the client sees that bytes are missing.
 */
export function sendAnswer(
  incoming: Incoming,
  response: ServerResponse,
  answer: Answer,
): Promise<void> {
  const { status, headers, length } = answer;
  const body = incoming.req.method === 'HEAD' ? undefined : answer.body;
  incoming.state.bodyLength = length ?? 0;
  if (length !== undefined) headers.push('Content-Length', String(length));
  if (typeof body === 'function') {
    return sendBody(response, body, () => response.writeHead(status, headers));
  }
  response.writeHead(status, headers);
  finish({ response, body });
  return SENT;
}

interface Finish {
  response: ServerResponse;
  body: Buffer | undefined;
}

let gathered: Finish[] = [];
/** Who was answered last. */
let lastSocket: Socket | null = null;

/**
 * Where several connections are answered in turn, the answers of one turn of the event loop leave together at its end: a
 * write that has to wake its reader costs more than deciding what to write, and readers that were woken once take the
 * rest without it. A connection that is alone is answered at once.
 */
function finish(answer: Finish): void {
  const { socket, req } = answer.response;
  const isAlone = socket === lastSocket && gathered.length === 0;
  lastSocket = socket;
  // What else is on its way on this connection may be its end.
  if (isAlone || !req.complete) end(answer);
  else if (gathered.push(answer) === 1) setImmediate(finishGathered);
}

function finishGathered(): void {
  const ready = gathered;
  gathered = [];
  for (const answer of ready) end(answer);
}

function end({ response, body }: Finish): void {
  if (body === undefined) response.end();
  else response.end(body);
}

async function sendBody(
  response: ServerResponse,
  source: BodySource,
  begin: () => void,
): Promise<void> {
  try {
    await source(response, begin);
  } catch (error) {
    if (!response.headersSent) throw error;
    response.destroy();
  }
}

/** Sends an answer from within Koa, with the headers that were set on the context before. */
export async function respond(ctx: Context, answer: Answer): Promise<void> {
  const vary = answer.headers.indexOf('Vary');
  if (vary >= 0 && ctx.res.hasHeader('Vary')) {
    ctx.vary((answer.headers[vary + 1] ?? '').split(', '));
    answer.headers.splice(vary, 2);
  }
  await sendAnswer(ctx, ctx.res, answer);
  ctx.respond = false;
}
