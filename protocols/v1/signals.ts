import type { RepositoryName } from '../../storage/names.ts';
import { type Registry, registryError, type V1Signal, type V1SignalEvent } from '../registry.ts';
import { longForm } from './names.ts';

/** Tells the operator's hooks, where there are any, what happened to a repository. */
export async function signal(
  { v1: { hooks } }: Registry,
  name: V1Signal,
  repository: RepositoryName,
  more: Omit<V1SignalEvent, 'namespace' | 'repository'> = {},
): Promise<void> {
  if (!hooks) return;
  const [namespace = '', ...rest] = longForm(repository).split('/');
  await hooks.signal(name, { namespace, repository: rest.join('/'), ...more });
}

/** What asks the operator's hooks about an image's JSON. Throws IMAGE_INVALID with their objection. */
export function objectionTo(
  { v1: { hooks } }: Registry,
  json: Buffer,
): (() => Promise<void>) | undefined {
  if (!hooks) return undefined;
  return async () => {
    const objection = await hooks.objection(JSON.parse(json.toString()));
    if (objection !== undefined) throw registryError('IMAGE_INVALID', objection);
  };
}
