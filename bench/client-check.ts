import { spawnSync } from 'node:child_process';
import { MANIFEST } from './content.ts';
import { figure } from './numbers.ts';

const CONNECTIONS = 32;
const SECONDS = 3;

/**
 * What wrk reaches with manifests by tag, beside what this load generator reached (requests a second): where ours is much
 * slower, it is what is measured.
 */
export function checkClient(name: string, url: string, own: number): string {
  const words = ['-t1', `-c${CONNECTIONS}`, `-d${SECONDS}s`, '-H', `Accept: ${MANIFEST}`];
  const path = `${url.replace(/\/$/, '')}/v2/bench/img/manifests/latest`;
  const { error, stdout } = spawnSync('wrk', [...words, path], { encoding: 'utf8' });
  if (error) return `the load generator can't be checked: there is no wrk (${error.message})`;
  const theirs = Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]);
  return `load generator on ${name}: ${figure(own)} req/s, wrk ${figure(theirs)} req/s (${figure(own / theirs)})`;
}
