/** The next chunk of input, undefined at its end. */
export type Pull = () => Uint8Array | undefined;

/** Takes a chunk of output; its buffer is given away. */
export type Emit = (chunk: Uint8Array) => void;

/** Reads a pulled input byte by byte or in runs; an end in the middle of something is an error. */
export class ByteReader {
  readonly #pull: Pull;
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;

  constructor(pull: Pull) {
    this.#pull = pull;
  }

  /** Whether the input ends here. */
  atEnd(): boolean {
    while (this.#at === this.#chunk.length) {
      const chunk = this.#pull();
      if (chunk === undefined) return true;
      this.#chunk = chunk;
      this.#at = 0;
    }
    return false;
  }

  byte(): number {
    if (this.#at === this.#chunk.length && this.atEnd()) throw new Error('unexpected end');
    return this.#chunk[this.#at++] as number;
  }

  /** The next `length` bytes, copied into `target` at `offset`. */
  readInto(target: Uint8Array, offset: number, length: number): void {
    for (let done = 0; done < length; ) {
      if (this.atEnd()) throw new Error('unexpected end');
      const part = this.#chunk.subarray(this.#at, this.#at + length - done);
      target.set(part, offset + done);
      done += part.length;
      this.#at += part.length;
    }
  }

  skip(length: number): void {
    for (let left = length; left > 0; ) {
      if (this.atEnd()) throw new Error('unexpected end');
      const part = Math.min(left, this.#chunk.length - this.#at);
      this.#at += part;
      left -= part;
    }
  }
}
