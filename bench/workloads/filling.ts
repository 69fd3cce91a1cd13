import { type Content, imageOf, withManifest } from '../content.ts';
import { now, pool } from '../sampling.ts';
import { mount, pushImage, putManifest } from '../steps.ts';
import type { Target } from '../target.ts';

const LIMIT_MS = 240_000;
const CONNECTIONS = 4;

export const numbered = (prefix: string, n: number) => `${prefix}${String(n).padStart(6, '0')}`;
const tiny = imageOf(1, 64, 'tiny');

/** What the names to come are made of; to be there before any of them. */
export const fillTiny = (target: Target) => pushImage(target, 'bench/tags', 'seed', tiny);

/** Tags t000000 and so on of `bench/tags`, from `from` to before `to`, each naming a manifest of its own. */
export async function fillTags(target: Target, from: number, to: number): Promise<number> {
  return fill(target, to - from, (connection, n) => {
    const { manifest } = withManifest(tiny.layers, tiny.config, { n: String(from + n) });
    return putManifest(target, connection, 'bench/tags', numbered('t', from + n), manifest);
  });
}

/** Repositories cat/r000000 and so on, from `from` to before `to`. */
export async function fillRepositories(target: Target, from: number, to: number): Promise<number> {
  return fill(target, to - from, async (connection, n) => {
    const name = numbered('cat/r', from + n);
    for (const blob of [...tiny.layers, tiny.config] as Content[]) {
      await mount(target, connection, name, blob, 'bench/tags');
    }
    await putManifest(target, connection, name, 'latest', tiny.manifest);
  });
}

/** Gives how many were made before the time was up. */
async function fill(
  target: Target,
  count: number,
  make: Parameters<typeof pool>[3],
): Promise<number> {
  const end = now() + LIMIT_MS;
  let made = 0;
  await pool(target, CONNECTIONS, count, async (connection, n) => {
    if (now() > end) return;
    await make(connection, n);
    made += 1;
  });
  return made;
}
