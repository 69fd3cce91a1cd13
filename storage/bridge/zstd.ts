import { ZSTDDecoder } from 'zstddec/stream';
import { ByteReader, type Emit, type Pull } from './byte-reader.ts';

/** As the reference decoder's default: what a frame may ask us to remember. */
const MAX_WINDOW = 128 * 2 ** 20;
const FRAME_MAGIC = 0xfd2fb528;
const MAX_HEADER = 18;
const MAX_BLOCK = 128 * 1024;
const RLE_BLOCK = 1;

/** Decodes zstd frames and skippable frames to the end of the input; throws on anything malformed or cut short. */
export async function decodeZstd(pull: Pull, emit: Emit): Promise<void> {
  const decoder = new ZSTDDecoder();
  await decoder.init();
  let piece = 0;
  let silent = 0;
  // The decoder does not look at zstd's error codes, it then gives nothing for ever. A piece is no more than one block,
  // which takes it two or three steps, so many without any output are an error.
  const pieces = (function* () {
    for (const bytes of framePieces(new ByteReader(pull))) {
      piece++;
      silent = 0;
      yield bytes;
    }
  })();
  for (const chunk of decoder.decodeStreaming(pieces)) {
    if (chunk.length === 0 && ++silent > 16)
      throw new Error(`undecodable block or checksum (${piece})`);
    emit(chunk);
  }
}

/**
 * Cuts the input where zstd does (RFC 8878, 3.1): frame header, block, block, …, checksum. Blocks one at a time fit
 * the decoder's output buffer, and a cut, a foreign magic or too large a window is found before the decoder sees it.
 */
function* framePieces(reader: ByteReader): Generator<Uint8Array> {
  while (!reader.atEnd()) {
    const piece = new Uint8Array(MAX_HEADER);
    reader.readInto(piece, 0, 4);
    const magic = littleEndian(piece, 0, 4);
    if (magic >>> 4 === 0x0184d2a5) {
      reader.readInto(piece, 4, 4);
      reader.skip(littleEndian(piece, 4, 4));
      continue;
    }
    if (magic !== FRAME_MAGIC) throw new Error('unknown frame');
    const descriptor = reader.byte();
    yield readFrameHeader(reader, piece, descriptor);
    yield* readBlocks(reader);
    if (descriptor & 4) yield readPiece(reader, 4);
  }
}

function readFrameHeader(reader: ByteReader, header: Uint8Array, descriptor: number): Uint8Array {
  const singleSegment = (descriptor & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] as number;
  const sizeFlag = descriptor >> 6;
  const sizeBytes = sizeFlag === 0 ? (singleSegment ? 1 : 0) : 1 << sizeFlag;
  const windowBytes = singleSegment ? 0 : 1;
  header[4] = descriptor;
  reader.readInto(header, 5, windowBytes + dictionaryBytes + sizeBytes);
  const sizeAt = 5 + windowBytes + dictionaryBytes;
  const window = singleSegment
    ? littleEndian(header, sizeAt, sizeBytes) + (sizeBytes === 2 ? 256 : 0)
    : windowSize(header[5] as number);
  if (window > MAX_WINDOW)
    throw new Error(`a window of ${window} bytes, at most ${MAX_WINDOW} are allowed`);
  return header.subarray(0, sizeAt + sizeBytes);
}

function windowSize(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

function* readBlocks(reader: ByteReader): Generator<Uint8Array> {
  for (let last = false; !last; ) {
    const head = readPiece(reader, 3);
    const word = littleEndian(head, 0, 3);
    last = (word & 1) === 1;
    const size = word >>> 3;
    if (size > MAX_BLOCK) throw new Error('a block that is too large');
    const length = ((word >> 1) & 3) === RLE_BLOCK ? 1 : size;
    const block = new Uint8Array(3 + length);
    block.set(head);
    reader.readInto(block, 3, length);
    yield block;
  }
}

function readPiece(reader: ByteReader, length: number): Uint8Array {
  const piece = new Uint8Array(length);
  reader.readInto(piece, 0, length);
  return piece;
}

/** Exact up to 2^53; larger sizes only have to stay large. */
function littleEndian(bytes: Uint8Array, at: number, length: number): number {
  let value = 0;
  for (let index = length - 1; index >= 0; index--) value = value * 256 + (bytes[at + index] ?? 0);
  return value;
}
