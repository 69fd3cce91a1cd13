import { createHash, type Hash } from 'node:crypto';

/**
 * A hash for V1's payload checksum, sha256 over the image's JSON as sent, a line feed and the layer as sent (v1.md 2.7).
 * Feed it the layer; `digestSoFar` gives the checksum.
 */
export function createPayloadHash(json: Uint8Array): Hash {
  return createHash('sha256').update(json).update('\n');
}
