import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { EndpointConfig } from '../config/services.ts';
import { EVENTS_MEDIA_TYPE, envelopeOf } from './envelope.ts';

/** What became of one attempt. */
export interface Attempt {
  /** Whether the endpoint took the event: 2xx or 3xx, as distribution sees it. */
  ok: boolean;
  /** Undefined where no answer came. */
  status: number | undefined;
  /** Why it failed, in words. */
  reason: string;
}

/** Posts events to one URL, over one connection that is kept. */
export class Webhook {
  readonly #config: EndpointConfig;
  readonly #url: URL;
  readonly #agent: HttpAgent;
  #running: AbortController | undefined;

  constructor(config: EndpointConfig) {
    this.#config = config;
    this.#url = new URL(config.url);
    const options = { keepAlive: true, maxSockets: 1 };
    this.#agent =
      this.#url.protocol === 'https:' ? new HttpsAgent(options) : new HttpAgent(options);
  }

  /** Sends one event, given as JSON. Never throws; gives up after the configured time. */
  async post(event: string): Promise<Attempt> {
    const abort = new AbortController();
    const { timeoutSeconds } = this.#config;
    const timer = setTimeout(
      () => abort.abort(new Error(`no answer within ${timeoutSeconds} s`)),
      timeoutSeconds * 1000,
    );
    this.#running = abort;
    try {
      const status = await this.#send(envelopeOf([event]), abort.signal);
      const ok = status >= 200 && status < 400;
      return { ok, status, reason: ok ? '' : `the endpoint answered ${status}` };
    } catch (error) {
      const cause = abort.signal.aborted ? abort.signal.reason : error;
      return { ok: false, status: undefined, reason: (cause as Error).message };
    } finally {
      clearTimeout(timer);
      this.#running = undefined;
    }
  }

  /** Breaks off what runs, and closes the connection. */
  close(): void {
    this.#running?.abort(new Error('the registry stops'));
    this.#agent.destroy();
  }

  #send(body: string, signal: AbortSignal): Promise<number> {
    const request = this.#url.protocol === 'https:' ? httpsRequest : httpRequest;
    return new Promise((resolve, reject) => {
      const sent = request(
        this.#url,
        { method: 'POST', agent: this.#agent, signal, headers: this.#headers(body) },
        (response) => {
          response.on('error', reject);
          // Answers are read to their end so that the connection can be used again.
          response.on('end', () => resolve(response.statusCode ?? 0));
          response.resume();
        },
      );
      sent.on('error', reject);
      sent.end(body);
    });
  }

  #headers(body: string): Record<string, string | string[]> {
    return {
      'User-Agent': 'isthmus',
      ...this.#config.headers,
      'Content-Type': EVENTS_MEDIA_TYPE,
      'Content-Length': String(Buffer.byteLength(body)),
    };
  }
}
