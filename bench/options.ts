import { availableParallelism, tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { bytes, environment, number, pairs, pairsOf, priority } from './option-values.ts';
import { OURS } from './own-server.ts';
import type { TargetAddress } from './target.ts';
import type { Scale } from './workloads/workload.ts';

/** A registry beside ours. */
export interface Peer extends TargetAddress {
  command?: string;
  pid?: number;
}

export interface Options {
  peers: Peer[];
  /** Ours once more: name, and variables of its environment. */
  variants: { name: string; env: Record<string, string> }[];
  /** The peer that ours is divided by; undefined for the best. */
  base: string | undefined;
  scale: Scale;
  growth: boolean;
  v1: boolean;
  v2: boolean;
  list: boolean;
  /** Whether a workload is wanted at all; with a target's name, whether that takes part in it. */
  wants(id: string, target?: string): boolean;
  write: boolean;
  json: string | undefined;
  goals: string | undefined;
  workers: number;
  fsync: boolean;
  folder: string;
  nice: number | undefined;
  checkClient: boolean;
}

/** Throws with what is wrong; gives undefined where help is asked for. */
export function parseOptions(words: string[]): Options | undefined {
  const { values } = parseArgs({
    args: words,
    options: {
      target: { type: 'string', multiple: true, default: [] },
      spawn: { type: 'string', multiple: true, default: [] },
      pid: { type: 'string', multiple: true, default: [] },
      auth: { type: 'string', multiple: true, default: [] },
      ours: { type: 'string', multiple: true, default: [] },
      part: { type: 'string', multiple: true, default: [] },
      base: { type: 'string' },
      only: { type: 'string', multiple: true, default: [] },
      skip: { type: 'string', multiple: true, default: [] },
      growth: { type: 'boolean', default: false },
      full: { type: 'boolean', default: false },
      v1: { type: 'boolean', default: false },
      'v1-only': { type: 'boolean', default: false },
      workers: { type: 'string' },
      'no-fsync': { type: 'boolean', default: false },
      folder: { type: 'string', default: tmpdir() },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      big: { type: 'string' },
      tags: { type: 'string' },
      repositories: { type: 'string' },
      pushes: { type: 'string' },
      json: { type: 'string' },
      goals: { type: 'string' },
      nice: { type: 'string' },
      'check-client': { type: 'boolean', default: false },
      'no-write': { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  const { full } = values;
  const peers = pairs(values.target);
  const variants = pairs(values.ours);
  const names = [...peers.keys(), OURS, ...variants.keys()];
  const twice = names.find((name, at) => names.indexOf(name) < at);
  if (twice !== undefined) throw new Error(`two targets are called ${twice}`);
  const ofPeers = (words: string[]) => pairsOf([...peers.keys()], words);
  const [spawns, pids, auths] = [values.spawn, values.pid, values.auth].map(ofPeers) as [
    Map<string, string>,
    Map<string, string>,
    Map<string, string>,
  ];
  const parts = pairsOf(names, values.part);
  if (values.base !== undefined) pairsOf([...peers.keys()], [`${values.base}=`]);
  const seconds = number(values.seconds, full ? 2 : 0.5);
  const only = values.only.flatMap((list) => list.split(','));
  const skip = values.skip.flatMap((list) => list.split(','));
  return {
    peers: [...peers].map(([name, url]) => {
      const [command, pid, auth] = [spawns.get(name), pids.get(name), auths.get(name)];
      return {
        name,
        url,
        ...(auth !== undefined && { auth }),
        ...(command !== undefined && { command }),
        ...(pid !== undefined && { pid: number(pid, 1) }),
      };
    }),
    variants: [...variants].map(([name, words]) => ({ name, env: environment(words) })),
    base: values.base,
    scale: {
      full,
      run: Date.now().toString(36),
      seconds,
      warmUp: full ? 1 : Math.min(0.4, seconds * 2),
      rounds: number(values.rounds, full ? 7 : 3),
      bigBytes: bytes(values.big ?? '256M'),
      tags: number(values.tags, full ? 10_000 : 1000),
      repositories: number(values.repositories, full ? 5000 : 300),
      pushes: number(values.pushes, 100),
    },
    growth: values.growth,
    v1: values.v1 || values['v1-only'],
    v2: !values['v1-only'],
    list: values.list,
    wants: (id, target = '') =>
      (only.length === 0 || beginsSo(id, only)) &&
      !beginsSo(id, skip) &&
      beginsSo(id, (parts.get(target) ?? '').split(',')),
    write: !values['no-write'] && !values['v1-only'] && only.length === 0 && skip.length === 0,
    json: values.json,
    goals: values.goals,
    workers: number(values.workers, availableParallelism()),
    fsync: !values['no-fsync'],
    folder: values.folder,
    nice: values.nice === undefined ? undefined : priority(values.nice),
    checkClient: values['check-client'],
  };
}

const beginsSo = (id: string, starts: readonly string[]) =>
  starts.some((start) => id.startsWith(start));
