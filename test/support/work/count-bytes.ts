import { createHash } from 'node:crypto';
import { count } from './tally.ts';

/** From now on, bytes that are hashed, or copied from one buffer to another, are counted. */
export function countBytes(): void {
  countHashed();
  countConcatenated();
  countViews();
}

function countHashed(): void {
  const prototype = Object.getPrototypeOf(createHash('sha256')) as {
    update(data: string | NodeJS.ArrayBufferView, ...more: unknown[]): unknown;
  };
  const { update } = prototype;
  prototype.update = function (data, ...more) {
    count('hashedBytes', Buffer.byteLength(data));
    return update.call(this, data, ...more);
  };
}

function countConcatenated(): void {
  const { concat } = Buffer;
  Buffer.concat = (list, length) => {
    const result = concat(list, length);
    count('copiedBytes', result.length);
    return result;
  };
}

function countViews(): void {
  const { from } = Buffer;
  const counting = (...parameters: unknown[]) => {
    const [source] = parameters;
    if (ArrayBuffer.isView(source)) count('copiedBytes', source.byteLength);
    return Reflect.apply(from, Buffer, parameters) as Buffer;
  };
  Buffer.from = counting as typeof Buffer.from;
  const { copy } = Buffer.prototype;
  Buffer.prototype.copy = function (this: Buffer, target: Uint8Array, ...range: number[]) {
    const copied = copy.call(this, target, ...range);
    count('copiedBytes', copied);
    return copied;
  };
  // Buffer's own slice is a view, and no copy; it does not come by here.
  const { set, slice } = Uint8Array.prototype;
  Uint8Array.prototype.set = function (source, at) {
    count('copiedBytes', source.length);
    set.call(this, source, at);
  };
  Uint8Array.prototype.slice = function (start, end) {
    const copied = slice.call(this, start, end);
    count('copiedBytes', copied.length);
    return copied;
  };
}
