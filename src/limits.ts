import { LRUCache } from 'lru-cache';
import { RefusalError } from '../protocols/registry.ts';
import type { Guard, GuardedRequest } from './guard.ts';
import { isUpload } from './metrics/http-metrics.ts';
import { routeName } from './metrics/route-name.ts';
import { NO_PEERS, type Peers } from './peers.ts';

/** Addresses that are remembered; beyond, those that were seen longest ago start anew. */
const MAX_ADDRESSES = 50_000;
/** An upload waits so long for its turn, its bytes held back by TCP, before it is refused. */
const UPLOAD_WAIT_MS = 30_000;
/** Waiting uploads for each one that may run; more are refused at once. */
const WAITING_PER_SLOT = 16;

interface Bucket {
  tokens: number;
  /** Milliseconds of the clock when `tokens` was true. */
  at: number;
}

/**
 * Lets each address make so many requests a minute, a minute's worth of them at once. What is above is refused with 429
 * and Retry-After (a token bucket). `peers` are workers that let the same addresses in, and count with this one.
 */
export function limitRequests(
  perMinute: number,
  peers: Peers = NO_PEERS,
  now: () => number = Date.now,
): Guard {
  const buckets = new LRUCache<string, Bucket>({ max: MAX_ADDRESSES });
  const perMs = perMinute / 60_000;
  const bucketOf = (address: string): Bucket => {
    const at = now();
    let bucket = buckets.get(address);
    if (bucket === undefined) {
      bucket = { tokens: perMinute, at };
      buckets.set(address, bucket);
    }
    bucket.tokens = Math.min(perMinute, bucket.tokens + (at - bucket.at) * perMs);
    bucket.at = at;
    return bucket;
  };
  peers.listen('requests', (address, amount) => {
    bucketOf(address).tokens -= amount;
  });
  return ({ ip }) => {
    const address = networkOf(ip);
    const bucket = bucketOf(address);
    if (bucket.tokens >= 1) {
      bucket.tokens -= 1;
      peers.count('requests', address);
      return;
    }
    const seconds = Math.max(1, Math.ceil((1 - bucket.tokens) / perMs / 1000));
    throw refusal(seconds, `more than ${perMinute} requests a minute from ${address}`);
  };
}

/** One client has a whole IPv6 network of 64 bits, so that is what counts. */
function networkOf(address: string): string {
  if (!address.includes(':') || address.startsWith('::ffff:')) return address;
  const [head = '', tail] = address.split('::');
  const groups = head.split(':').filter(Boolean);
  if (tail !== undefined) {
    const rest = tail.split(':').filter(Boolean);
    while (groups.length + rest.length < 8) groups.push('0');
  }
  return `${groups.slice(0, 4).join(':')}::/64`;
}

/**
 * Lets `max` uploads receive bytes at a time. Others wait for their turn without their bytes being read; who waits too
 * long, or finds too many waiting, is refused with 429 and Retry-After.
 */
export function limitUploads(
  max: number,
  { waitMs = UPLOAD_WAIT_MS, prefix = '' }: { waitMs?: number; prefix?: string } = {},
): Guard {
  let running = 0;
  const waiting: (() => void)[] = [];
  const release = () => {
    const next = waiting.shift();
    if (next === undefined) running -= 1;
    else next();
  };
  const admit = async (request: GuardedRequest) => {
    if (running < max) running += 1;
    else if (waiting.length >= max * WAITING_PER_SLOT || !(await turn(request, waiting, waitMs))) {
      throw refusal(5, `more than ${max} uploads at a time`);
    }
    if (request.res.closed || request.res.destroyed) release();
    else request.res.once('close', release);
  };
  return (request) => {
    const { url = '', method = '' } = request.req;
    return isUpload(routeName(url, prefix), method) ? admit(request) : undefined;
  };
}

/** Resolves with true when it is this request's turn, with false when it is not in time or its client has gone. */
function turn({ res }: GuardedRequest, waiting: (() => void)[], waitMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (mine: boolean) => {
      clearTimeout(timer);
      res.off('close', leave);
      const place = waiting.indexOf(take);
      if (place >= 0) waiting.splice(place, 1);
      resolve(mine);
    };
    const take = () => end(true);
    const leave = () => end(false);
    const timer = setTimeout(leave, waitMs);
    res.once('close', leave);
    waiting.push(take);
  });
}

function refusal(seconds: number, reason: string): RefusalError {
  return new RefusalError(
    'TOOMANYREQUESTS',
    `too many requests: ${reason}`,
    { 'Retry-After': String(seconds) },
    { retryAfterSeconds: seconds },
  );
}
