const HEAD_END = Buffer.from('\r\n\r\n');

type State = 'head' | 'length' | 'chunk-size' | 'chunk' | 'chunk-end' | 'trailers' | 'until-close';

/** Reads HTTP/1.1 responses out of a buffer that is filled again and again. */
export class ResponseReader {
  status = 0;
  /** Status line and headers. */
  head = '';
  bodyBytes = 0;
  /** Whether the server closes the connection after this response. */
  closes = false;
  #state: State = 'head';
  #isHead = false;
  #collect: ((bytes: Buffer) => void) | undefined;
  #partial: Buffer | undefined;
  #left = 0;
  #line = '';

  expect(isHead: boolean, collect: ((bytes: Buffer) => void) | undefined): void {
    this.#isHead = isHead;
    this.#collect = collect;
    this.#state = 'head';
    this.#partial = undefined;
  }

  /** Whether not a byte of the response has come yet. */
  get untouched(): boolean {
    return this.#state === 'head' && this.#partial === undefined;
  }

  get endsWithConnection(): boolean {
    return this.#state === 'until-close';
  }

  /** Takes what has come; gives whether the response is whole. */
  read(buffer: Buffer, length: number): boolean {
    let at = 0;
    while (at < length) {
      switch (this.#state) {
        case 'head': {
          const next = this.#readHead(buffer, at, length);
          if (next === undefined) return false;
          at = next;
          if (this.status < 200) break;
          if (this.#begin()) return true;
          break;
        }
        case 'length':
        case 'chunk': {
          const taken = Math.min(this.#left, length - at);
          this.#take(buffer, at, at + taken);
          at += taken;
          this.#left -= taken;
          if (this.#left > 0) break;
          if (this.#state === 'length') return true;
          this.#state = 'chunk-end';
          break;
        }
        case 'until-close':
          this.#take(buffer, at, length);
          at = length;
          break;
        default:
          if (this.#readLine(buffer[at++] as number)) return true;
      }
    }
    return false;
  }

  /** Gives where the body begins; undefined when the head is not whole yet. */
  #readHead(buffer: Buffer, at: number, length: number): number | undefined {
    const earlier = this.#partial?.length ?? 0;
    const here = buffer.subarray(at, length);
    const all = this.#partial ? Buffer.concat([this.#partial, here]) : here;
    const end = all.indexOf(HEAD_END);
    if (end < 0) {
      this.#partial = Buffer.from(all);
      return undefined;
    }
    this.#partial = undefined;
    this.head = all.toString('latin1', 0, end + 2);
    this.status = Number(this.head.slice(9, 12));
    return at + end + 4 - earlier;
  }

  /** Gives whether there is no body. */
  #begin(): boolean {
    this.bodyBytes = 0;
    const head = this.head.toLowerCase();
    this.closes = head.includes('\r\nconnection: close');
    if (this.#isHead || this.status === 204 || this.status === 304) return true;
    const declared = head.indexOf('\r\ncontent-length:');
    if (declared >= 0) {
      this.#left = Number.parseInt(head.slice(declared + 17, declared + 40), 10);
      this.#state = 'length';
      return !(this.#left > 0);
    }
    this.#line = '';
    this.#state = head.includes('\r\ntransfer-encoding: chunked') ? 'chunk-size' : 'until-close';
    return false;
  }

  #take(buffer: Buffer, from: number, to: number): void {
    this.#collect?.(buffer.subarray(from, to));
    this.bodyBytes += to - from;
  }

  /** The lines of the chunked coding; gives whether that was the last. */
  #readLine(byte: number): boolean {
    if (byte !== 10) {
      if (byte !== 13) this.#line += String.fromCharCode(byte);
      return false;
    }
    const line = this.#line;
    this.#line = '';
    if (this.#state === 'chunk-end') {
      this.#state = 'chunk-size';
    } else if (this.#state === 'chunk-size') {
      this.#left = Number.parseInt(line, 16);
      this.#state = this.#left > 0 ? 'chunk' : 'trailers';
    } else {
      return line === '';
    }
    return false;
  }
}

/** The value of a header in the head of a response. */
export function headerOf(head: string, name: string): string | undefined {
  return new RegExp(`\\r\\n${name}:[ \\t]*([^\\r]*)`, 'i').exec(head)?.[1]?.trim();
}
