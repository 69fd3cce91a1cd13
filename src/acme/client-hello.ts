const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const ALPN_EXTENSION = 16;
const RECORD_HEADER = 5;

/** Bytes of the first TLS record that `start` begins, with its header; undefined while that can't be known. */
export function firstRecordLength(start: Buffer): number | undefined {
  return start.length < RECORD_HEADER ? undefined : RECORD_HEADER + start.readUInt16BE(3);
}

/**
 * The protocols that a client offers by ALPN, read from the first record it sends (RFC 8446 4.1.2, RFC 7301). Node
 * chooses the certificate before it tells the protocols, and a challenge of ACME needs it the other way round.
 * None for what is no ClientHello, or a broken one: the TLS server will say so.
 */
export function offeredProtocols(record: Buffer): string[] {
  try {
    const hello = new Cursor(record);
    if (hello.number(1) !== HANDSHAKE) return [];
    hello.skip(4);
    if (hello.number(1) !== CLIENT_HELLO) return [];
    // Length, version, random; then session, cipher suites, compression.
    hello.skip(3 + 2 + 32);
    hello.vector(1);
    hello.vector(2);
    hello.vector(1);
    const extensions = new Cursor(hello.vector(2));
    while (extensions.left > 0) {
      const type = extensions.number(2);
      const content = extensions.vector(2);
      if (type === ALPN_EXTENSION) return names(new Cursor(new Cursor(content).vector(2)));
    }
    return [];
  } catch (error) {
    if (error instanceof RangeError) return [];
    throw error;
  }
}

function names(list: Cursor): string[] {
  const found: string[] = [];
  while (list.left > 0) found.push(list.vector(1).toString('latin1'));
  return found;
}

/** Reads onwards; throws a RangeError where the bytes end too early. */
class Cursor {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  number(size: number): number {
    const value = this.#bytes.readUIntBE(this.#at, size);
    this.#at += size;
    return value;
  }

  skip(count: number): Buffer {
    if (count > this.left) throw new RangeError('the bytes end too early');
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  /** Bytes behind their length, a number of `size` bytes. */
  vector(size: number): Buffer {
    return this.skip(this.number(size));
  }
}
