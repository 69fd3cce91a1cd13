import { type Answer, sendAnswer } from '../protocols/answer.ts';
import type { Handler, Protocol } from '../protocols/protocol.ts';
import type { Registry } from '../protocols/registry.ts';
import type { Exchange } from './exchange.ts';
import {
  directMethods,
  failureAnswer,
  greetingOf,
  isWrite,
  owns,
  refuseAmbiguity,
} from './gate.ts';
import type { Guard } from './guard.ts';
import { isPlain, withoutPrefix } from './route-path.ts';

/**
 * Answers the requests that pulls and pushes are made of, which are nearly all, straight from the server: the same
 * answers as by way of Koa, for a third of the work. Everything else, and every path that has to be looked at twice, is
 * Koa's.
 */
export class DirectAnswers {
  readonly #registry: Registry;
  readonly #protocols: readonly Protocol[];
  readonly #guards: readonly Guard[];
  readonly #headers: readonly [string, string[]][];

  /** `headers` stand on every answer that has none of that name itself. */
  constructor(
    registry: Registry,
    protocols: readonly Protocol[],
    guards: readonly Guard[],
    headers: readonly [string, string[]][],
  ) {
    this.#registry = registry;
    this.#protocols = protocols.filter(({ direct }) => direct !== undefined);
    this.#guards = guards;
    this.#headers = headers;
  }

  /** Gives whether the request was taken. */
  take(exchange: Exchange): boolean {
    const { method = '', url = '' } = exchange.req;
    const path = withoutPrefix(withoutQuery(url), this.#registry.urls.prefix);
    if (path === undefined || !isPlain(path)) return false;
    const protocol = this.#protocols.find((each) => owns(each, path));
    const handler = protocol?.direct?.(method, path);
    if (protocol === undefined || handler === undefined) return false;
    void this.#answer(exchange, protocol, path, handler);
    return true;
  }

  async #answer(
    exchange: Exchange,
    protocol: Protocol,
    path: string,
    handler: Handler,
  ): Promise<void> {
    const { req } = exchange;
    let greeting: readonly string[] = [];
    try {
      for (const guard of this.#guards) {
        const waiting = guard(exchange);
        if (waiting) await waiting;
      }
      greeting = greetingOf(protocol, req);
      refuseAmbiguity(req);
      const answer = await handler(exchange);
      if (isWrite(req)) await this.#registry.events.stored?.();
      await this.#send(exchange, greeting, answer);
    } catch (error) {
      const methods = () => directMethods(protocol, path);
      const answer = failureAnswer(this.#registry, protocol, exchange, error, methods);
      if (exchange.res.headersSent) exchange.res.destroy();
      else void this.#send(exchange, greeting, answer);
    }
  }

  #send(exchange: Exchange, greeting: readonly string[], answer: Answer): Promise<void> {
    const { headers } = answer;
    for (const part of greeting) headers.push(part);
    for (const [name, values] of this.#headers) {
      if (hasHeader(headers, name)) continue;
      for (const value of values) headers.push(name, value);
    }
    return sendAnswer(exchange, exchange.res, answer);
  }
}

function withoutQuery(url: string): string {
  const at = url.indexOf('?');
  return at < 0 ? url : url.slice(0, at);
}

function hasHeader(headers: readonly string[], name: string): boolean {
  const wanted = name.toLowerCase();
  return headers.some((part, at) => at % 2 === 0 && part.toLowerCase() === wanted);
}
