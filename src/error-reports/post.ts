import { inspect } from 'node:util';
import type { Delivery } from './error-reports.ts';

/** Milliseconds until an answer is given up. */
const ANSWER_MS = 10_000;

/** Posts reports to a URL, as JSON. */
export function postTo(url: string): Delivery {
  return async (report) => {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(report, plain),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    await answer.body?.cancel();
    if (!answer.ok) throw new Error(`status ${answer.status}`);
  };
}

/** An error says nothing in JSON by itself. */
function plain(_key: string, value: unknown): unknown {
  return value instanceof Error ? inspect(value) : value;
}
