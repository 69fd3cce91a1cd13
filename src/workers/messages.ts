import type { Config } from '../config/config.ts';
import type { WorkerReport } from '../metrics/worker-board.ts';
import type { Counts, CountTopic } from '../peers.ts';
import type { ProfileRequest } from '../profile.ts';

/** What one worker counted, for all others. */
interface CountsMessage {
  type: 'counts';
  topic: CountTopic;
  counts: Counts;
}

/** What the master tells a worker. A connection travels as the handle of its message. */
export type ToWorker =
  | { type: 'start'; config: Config }
  | { type: 'connection'; id: number }
  | { type: 'drain'; seconds: number }
  | { type: 'reopen' }
  /** Asks for a profile of the next seconds, or of the memory now. */
  | { type: 'profile'; wanted: ProfileRequest }
  | CountsMessage
  /** Asks for a report. */
  | { type: 'report' };

/** What a worker tells the master. */
export type ToMaster =
  | { type: 'ready' }
  | { type: 'failed'; message: string }
  | { type: 'beat' }
  /** The worker holds the connection now, so the master may let go of it. */
  | { type: 'accepted'; id: number }
  /** The worker is leaving and has not touched the connection. */
  | { type: 'refused'; id: number }
  | { type: 'closed' }
  /** Where the profile lies, or why there is none. */
  | { type: 'profiled'; file?: string; failure?: string }
  | CountsMessage
  /** The worker has served its share of requests, and will go once another has taken its place. */
  | { type: 'recycle' }
  /** Asked for, or the last before the worker ends. */
  | { type: 'report'; report: WorkerReport };
