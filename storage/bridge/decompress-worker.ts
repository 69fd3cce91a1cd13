import { ReadableStream } from 'node:stream/web';
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import xz from 'xz-decompress';
import { decodeBzip2 } from './bzip2.ts';
import { CREDIT, INPUT, type WorkerInput, type WorkerMessage } from './worker-decompressor.ts';
import { decodeZstd } from './zstd.ts';

/**
 * The thread behind WorkerDecompressor. Decoders pull their input and hand out their output synchronously; the thread
 * sleeps on the shared counters in between.
 */
const { encoding, shared } = workerData as WorkerInput;
const port = parentPort;
if (port === null) throw new Error('decompress-worker runs as a worker thread only');

function send(message: WorkerMessage, transfer: ArrayBuffer[] = []): void {
  port?.postMessage(message, transfer);
}

/** The next chunk of input, undefined at its end. */
function pull(): Uint8Array | undefined {
  for (;;) {
    const posted = Atomics.load(shared, INPUT);
    const received = port === null ? undefined : receiveMessageOnPort(port);
    if (received === undefined) {
      Atomics.wait(shared, INPUT, posted);
      continue;
    }
    const chunk = received.message as Uint8Array | null;
    if (chunk === null) return undefined;
    send({ kind: 'taken' });
    if (chunk.length > 0) return chunk;
  }
}

/** Gives away a chunk of output, whose buffer must not be used again. */
function emit(chunk: Uint8Array): void {
  if (chunk.length === 0) return;
  while (Atomics.load(shared, CREDIT) <= 0) Atomics.wait(shared, CREDIT, 0);
  Atomics.sub(shared, CREDIT, 1);
  send({ kind: 'output', chunk }, [chunk.buffer as ArrayBuffer]);
}

async function decodeXz(): Promise<void> {
  const source = new ReadableStream<Uint8Array>({
    pull(controller) {
      const chunk = pull();
      if (chunk === undefined) controller.close();
      else controller.enqueue(chunk);
    },
  });
  for await (const chunk of new xz.XzReadableStream(source)) emit(new Uint8Array(chunk));
}

try {
  if (encoding === 'xz') await decodeXz();
  else if (encoding === 'zstd') await decodeZstd(pull, emit);
  else decodeBzip2(pull, emit);
  send({ kind: 'end' });
} catch (error) {
  send({ kind: 'error', message: `malformed ${encoding}: ${(error as Error).message}` });
}
