import { ByteReader, type Emit, type Pull } from './byte-reader.ts';

const STREAM_MAGIC = 0x425a68;
const BLOCK_MAGIC = [0x314159, 0x265359];
const END_MAGIC = [0x177245, 0x385090];
const MAX_CODE_LENGTH = 20;
const FAST_BITS = 10;
const GROUP_SIZE = 50;
const OUTPUT_CHUNK = 128 * 1024;

/** Decodes bzip2 streams, one after another, to the end of the input; throws on anything malformed or cut short. */
export function decodeBzip2(pull: Pull, emit: Emit): void {
  const bytes = new ByteReader(pull);
  while (!bytes.atEnd()) decodeStream(new BitReader(bytes), emit);
}

function decodeStream(bits: BitReader, emit: Emit): void {
  if (bits.read(24) !== STREAM_MAGIC) throw new Error('bad magic');
  const level = bits.read(8) - 0x30;
  if (level < 1 || level > 9) throw new Error('bad block size');
  const block = new Uint32Array(level * 100_000);
  const output = new Output(emit);
  let combined = 0;
  for (;;) {
    const magic = [bits.read(24), bits.read(24)];
    const expected = bits.read32();
    if (magic[0] === END_MAGIC[0] && magic[1] === END_MAGIC[1]) {
      output.flush();
      if (expected !== combined) throw new Error('wrong checksum of the stream');
      return;
    }
    if (magic[0] !== BLOCK_MAGIC[0] || magic[1] !== BLOCK_MAGIC[1]) throw new Error('bad block');
    if (bits.read(1) === 1) throw new Error('randomised blocks are not supported');
    const origin = bits.read(24);
    const length = readBlock(bits, block);
    output.startBlock();
    writeBlock(block, length, origin, output);
    if (output.checksum() !== expected) throw new Error('wrong checksum of a block');
    combined = (((combined << 1) | (combined >>> 31)) ^ expected) >>> 0;
  }
}

/** Reads one block's Huffman codes, undoes move-to-front and zero runs; gives the number of bytes in `block`. */
function readBlock(bits: BitReader, block: Uint32Array): number {
  const used = readUsedBytes(bits);
  const groups = bits.read(3);
  if (groups < 2 || groups > 6) throw new Error('bad number of code tables');
  const selectors = readSelectors(bits, groups);
  const tables = Array.from({ length: groups }, () => readTable(bits, used.length + 2));
  const end = used.length + 1;
  let length = 0;
  let run = 0;
  let runUnit = 1;
  let table: HuffmanTable | undefined;
  for (let index = 0; ; index++) {
    if (index % GROUP_SIZE === 0) {
      table = tables[selectors[index / GROUP_SIZE] ?? -1];
      if (table === undefined) throw new Error('too few selectors');
    }
    const symbol = (table as HuffmanTable).decode(bits);
    if (symbol <= 1) {
      run += runUnit << symbol;
      runUnit *= 2;
      if (run > block.length) throw new Error('a block that is too long');
      continue;
    }
    if (run > 0) {
      if (length + run > block.length) throw new Error('a block that is too long');
      block.fill(used[0] as number, length, length + run);
      length += run;
      run = 0;
    }
    runUnit = 1;
    if (symbol === end) return length;
    if (length === block.length) throw new Error('a block that is too long');
    const byte = used[symbol - 1] as number;
    used.copyWithin(1, 0, symbol - 1);
    used[0] = byte;
    block[length++] = byte;
  }
}

/** The byte values that occur, which is where move-to-front starts. */
function readUsedBytes(bits: BitReader): Uint8Array {
  const rows = bits.read(16);
  const used: number[] = [];
  for (let row = 0; row < 16; row++) {
    if ((rows & (0x8000 >> row)) === 0) continue;
    const columns = bits.read(16);
    for (let column = 0; column < 16; column++) {
      if (columns & (0x8000 >> column)) used.push(row * 16 + column);
    }
  }
  if (used.length === 0) throw new Error('a block without symbols');
  return Uint8Array.from(used);
}

function readSelectors(bits: BitReader, groups: number): Uint8Array {
  const selectors = new Uint8Array(bits.read(15));
  const recent = Uint8Array.from({ length: groups }, (_, index) => index);
  for (let at = 0; at < selectors.length; at++) {
    let place = 0;
    while (bits.read(1) === 1) {
      if (++place >= groups) throw new Error('bad selector');
    }
    const selector = recent[place] as number;
    recent.copyWithin(1, 0, place);
    recent[0] = selector;
    selectors[at] = selector;
  }
  return selectors;
}

function readTable(bits: BitReader, symbols: number): HuffmanTable {
  const lengths = new Uint8Array(symbols);
  let length = bits.read(5);
  for (let symbol = 0; symbol < symbols; symbol++) {
    for (;;) {
      if (length < 1 || length > MAX_CODE_LENGTH) throw new Error('bad code length');
      if (bits.read(1) === 0) break;
      length += bits.read(1) === 1 ? -1 : 1;
    }
    lengths[symbol] = length;
  }
  return new HuffmanTable(lengths);
}

/** Undoes the Burrows-Wheeler transform and the runs of four. */
function writeBlock(block: Uint32Array, length: number, origin: number, output: Output): void {
  if (origin >= length) throw new Error('bad origin of a block');
  const next = new Uint32Array(256);
  for (let at = 0; at < length; at++) {
    const byte = block[at] as number;
    next[byte] = (next[byte] as number) + 1;
  }
  for (let byte = 0, sum = 0; byte < 256; byte++) {
    const count = next[byte] as number;
    next[byte] = sum;
    sum += count;
  }
  // The upper 24 bits of an entry get the link to the one that follows, the lower 8 are its byte.
  for (let at = 0; at < length; at++) {
    const byte = (block[at] as number) & 0xff;
    const place = next[byte] as number;
    next[byte] = place + 1;
    block[place] = ((block[place] as number) | (at << 8)) >>> 0;
  }
  let entry = block[origin] as number;
  let previous = -1;
  let repeats = 0;
  for (let left = length; left > 0; left--) {
    entry = block[entry >>> 8] as number;
    const byte = entry & 0xff;
    if (repeats === 4) {
      output.write(previous, byte);
      repeats = 0;
      previous = -1;
      continue;
    }
    repeats = byte === previous ? repeats + 1 : 1;
    previous = byte;
    output.write(byte, 1);
  }
}

/** Bits, most significant first. */
class BitReader {
  readonly #bytes: ByteReader;
  #bits = 0;
  #count = 0;

  constructor(bytes: ByteReader) {
    this.#bytes = bytes;
  }

  /** Up to 24 bits. */
  read(count: number): number {
    const value = this.peek(count);
    this.#count -= count;
    return value;
  }

  peek(count: number): number {
    while (this.#count < count) {
      this.#bits = (this.#bits << 8) | this.#bytes.byte();
      this.#count += 8;
    }
    return (this.#bits >>> (this.#count - count)) & ((1 << count) - 1);
  }

  skip(count: number): void {
    this.#count -= count;
  }

  read32(): number {
    return ((this.read(16) << 16) | this.read(16)) >>> 0;
  }
}

/** A canonical Huffman code: a table for short codes, first codes by length for the long ones. */
class HuffmanTable {
  readonly #fast = new Uint16Array(1 << FAST_BITS);
  readonly #symbols: Uint16Array;
  readonly #firstCode = new Int32Array(MAX_CODE_LENGTH + 2);
  readonly #firstIndex = new Int32Array(MAX_CODE_LENGTH + 2);

  constructor(lengths: Uint8Array) {
    const symbols: number[] = [];
    let code = 0;
    for (let length = 1; length <= MAX_CODE_LENGTH; length++) {
      this.#firstCode[length] = code;
      this.#firstIndex[length] = symbols.length;
      for (let symbol = 0; symbol < lengths.length; symbol++) {
        if (lengths[symbol] !== length) continue;
        symbols.push(symbol);
        if (code >= 1 << length) throw new Error('too many codes');
        if (length <= FAST_BITS) {
          const start = code << (FAST_BITS - length);
          this.#fast.fill((length << 9) | symbol, start, start + (1 << (FAST_BITS - length)));
        }
        code++;
      }
      code <<= 1;
    }
    this.#firstIndex[MAX_CODE_LENGTH + 1] = symbols.length;
    this.#symbols = Uint16Array.from(symbols);
  }

  decode(bits: BitReader): number {
    // At least the end of the stream follows a code, so there are bits to look at.
    const ahead = bits.peek(MAX_CODE_LENGTH);
    const fast = this.#fast[ahead >>> (MAX_CODE_LENGTH - FAST_BITS)] as number;
    if (fast !== 0) {
      bits.skip(fast >>> 9);
      return fast & 0x1ff;
    }
    for (let length = FAST_BITS + 1; length <= MAX_CODE_LENGTH; length++) {
      const first = this.#firstIndex[length] as number;
      const count = (this.#firstIndex[length + 1] as number) - first;
      const offset = (ahead >>> (MAX_CODE_LENGTH - length)) - (this.#firstCode[length] as number);
      if (offset >= 0 && offset < count) {
        bits.skip(length);
        return this.#symbols[first + offset] as number;
      }
    }
    throw new Error('bad code');
  }
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x80000000 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  return crc >>> 0;
});

/** Collects output into chunks and keeps the checksum of the block. */
class Output {
  readonly #emit: Emit;
  #chunk = new Uint8Array(OUTPUT_CHUNK);
  #length = 0;
  #crc = 0;

  constructor(emit: Emit) {
    this.#emit = emit;
  }

  startBlock(): void {
    this.#crc = 0xffffffff | 0;
  }

  checksum(): number {
    return ~this.#crc >>> 0;
  }

  write(byte: number, times: number): void {
    for (let left = times; left > 0; left--) {
      this.#crc = (this.#crc << 8) ^ (CRC_TABLE[((this.#crc >>> 24) ^ byte) & 0xff] as number);
      this.#chunk[this.#length++] = byte;
      if (this.#length === OUTPUT_CHUNK) this.flush();
    }
  }

  flush(): void {
    this.#emit(this.#chunk.subarray(0, this.#length));
    this.#chunk = new Uint8Array(OUTPUT_CHUNK);
    this.#length = 0;
  }
}
