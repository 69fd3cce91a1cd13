import { availableParallelism, tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { MIB } from './content.ts';
import type { TargetAddress } from './target.ts';
import type { Scale } from './workloads/workload.ts';

export const HELP = `usage: npm run bench -- [options]

Measures this registry, started over an empty folder, and any peers beside it; writes docs/performance.md.

  --target NAME=URL      a peer, such as registry-3.1.1=http://127.0.0.1:5001; the first is the base of the ratios
  --spawn NAME=COMMAND   starts and stops that peer, which makes cold starts and memory comparable
  --pid NAME=PID         the process of a peer that runs already, for processor time and memory
  --auth NAME=USER:PASSWORD
  --growth               measures how costs grow, in place of comparing
  --full                 longer samples, more rounds, 10,000 tags and 5,000 repositories
  --v1                   the V1 workloads as well
  --only A,B  --skip A,B workloads (or series) whose names begin so; prints, and writes no page
  --workers N            of our server; one for each processor otherwise
  --no-fsync             ours does not flush to disk
  --folder PATH          where our store is made; the folder for temporary files otherwise
  --rounds N --seconds S --big MIB --tags N --repositories N --pushes N
  --json FILE            everything that was measured
  --no-write             only prints
  --list                 the workloads`;

export interface Options {
  peers: (TargetAddress & { command?: string; pid?: number })[];
  scale: Scale;
  growth: boolean;
  full: boolean;
  v1: boolean;
  list: boolean;
  wants(id: string): boolean;
  write: boolean;
  json: string | undefined;
  workers: number;
  fsync: boolean;
  folder: string;
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
      only: { type: 'string', multiple: true, default: [] },
      skip: { type: 'string', multiple: true, default: [] },
      growth: { type: 'boolean', default: false },
      full: { type: 'boolean', default: false },
      v1: { type: 'boolean', default: false },
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
      'no-write': { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  const { full } = values;
  const number = (text: string | undefined, otherwise: number) => {
    const value = text === undefined ? otherwise : Number(text);
    if (!(value > 0)) throw new Error(`${text} is no number above 0`);
    return value;
  };
  const [spawns, pids, auths] = [values.spawn, values.pid, values.auth].map(pairs) as [
    Map<string, string>,
    Map<string, string>,
    Map<string, string>,
  ];
  const seconds = number(values.seconds, full ? 2 : 0.5);
  const only = values.only.flatMap((list) => list.split(','));
  const skip = values.skip.flatMap((list) => list.split(','));
  return {
    peers: [...pairs(values.target)].map(([name, url]) => {
      const [command, pid, auth] = [spawns.get(name), pids.get(name), auths.get(name)];
      return {
        name,
        url,
        ...(auth !== undefined && { auth }),
        ...(command !== undefined && { command }),
        ...(pid !== undefined && { pid: Number(pid) }),
      };
    }),
    scale: {
      run: Date.now().toString(36),
      seconds,
      warmUp: full ? 1 : Math.min(0.4, seconds * 2),
      rounds: number(values.rounds, full ? 7 : 3),
      bigBytes: number(values.big, 256) * MIB,
      tags: number(values.tags, full ? 10_000 : 1000),
      repositories: number(values.repositories, full ? 5000 : 300),
      pushes: number(values.pushes, 100),
    },
    growth: values.growth,
    full,
    v1: values.v1,
    list: values.list,
    wants: (id) =>
      (only.length === 0 || only.some((start) => id.startsWith(start))) &&
      !skip.some((start) => id.startsWith(start)),
    write: !values['no-write'] && only.length === 0 && skip.length === 0,
    json: values.json,
    workers: number(values.workers, availableParallelism()),
    fsync: !values['no-fsync'],
    folder: values.folder,
  };
}

/** `NAME=VALUE`, each. */
function pairs(words: readonly string[]): Map<string, string> {
  return new Map(
    words.map((word) => {
      const at = word.indexOf('=');
      if (at < 1) throw new Error(`${word} is not NAME=VALUE`);
      return [word.slice(0, at), word.slice(at + 1)];
    }),
  );
}
