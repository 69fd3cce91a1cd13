/*
 * Loaded into a server before its own code (`node --import`): counts what it does with the files below STORAGE_PATH, and
 * with bytes, and tells its parent process when asked.
 */
import { isMainThread } from 'node:worker_threads';
import { countBytes } from './count-bytes.ts';
import { countFiles } from './count-files.ts';
import { type Question, reply } from './questions.ts';
import { read, reset } from './tally.ts';

countBytes();
await countFiles(process.env.STORAGE_PATH ?? '');

if (isMainThread) {
  process.on('message', (question: Question) => {
    if (question === 'reset') reset();
    reply(read());
  });
  // The parent ends the server by a signal; a question that may come must not keep it alive.
  process.channel?.unref();
}
