/** What is counted for all workers of a registry together: requests of addresses, wrong passwords of addresses and users. */
export type CountTopic = 'requests' | 'failures';

/** Keys, and how often each was counted. */
export type Counts = [key: string, amount: number][];

/** The other workers, which hear of what is counted here some milliseconds later, as this one hears of theirs. */
export interface Peers {
  count(topic: CountTopic, key: string): void;
  /** Calls back for all that others count, also for what they counted lately. */
  listen(topic: CountTopic, heard: (key: string, amount: number) => void): void;
}

/** Of a process that serves alone. */
export const NO_PEERS: Peers = { count: () => {}, listen: () => {} };
