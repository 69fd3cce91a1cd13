import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  type Logger,
  V1_SIGNALS,
  type V1Hooks,
  type V1Signal,
  type V1SignalEvent,
} from '../protocols/registry.ts';

const VETO = 'before_put_image_json';
/** A listener that takes longer is not waited for, in milliseconds. */
const PATIENCE_MS = 10_000;

type Listener = (event: unknown) => unknown;

/**
 * The listeners that an ES module exports under the names of docker-registry's signals (v1.md 5). Throws when the file
 * can't be loaded or exports none of them.
 */
export async function loadHooks(
  path: string,
  log: Logger,
  patienceMs = PATIENCE_MS,
): Promise<V1Hooks> {
  const listeners = await listenersIn(path);
  const call = async (name: string, event: unknown) => {
    const listener = listeners.get(name);
    return listener && within(patienceMs, name, async () => listener(event));
  };
  return {
    async signal(name: V1Signal, event: V1SignalEvent) {
      try {
        await call(name, event);
      } catch (error) {
        log.error('a hook failed', { hook: name, error });
      }
    },
    async objection(imageJson) {
      // Whoever cannot say whether an image may come has not allowed it: this ends in a 500.
      const result = await call(VETO, { image_json: imageJson });
      return result === undefined || result === null ? undefined : String(result);
    },
  };
}

async function listenersIn(path: string): Promise<Map<string, Listener>> {
  const file = resolve(path);
  const names: readonly string[] = [...V1_SIGNALS, VETO];
  let module: Record<string, unknown>;
  try {
    // A reload sees what the file holds now.
    const { mtimeMs } = statSync(file);
    const { importModule } = await import('./import-module.ts');
    module = (await importModule(`${pathToFileURL(file)}?${mtimeMs}`)) as Record<string, unknown>;
  } catch (cause) {
    throw new Error(`the hooks in ${file} can not be loaded: ${String(cause)}`, { cause });
  }
  const listeners = new Map<string, Listener>();
  for (const name of names) {
    const listener = module[name];
    if (typeof listener === 'function') listeners.set(name, listener as Listener);
  }
  if (listeners.size === 0) throw new Error(`${file} exports none of ${names.join(', ')}`);
  return listeners;
}

async function within<T>(ms: number, name: string, work: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${name} took more than ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work(), late]);
  } finally {
    clearTimeout(timer);
  }
}
