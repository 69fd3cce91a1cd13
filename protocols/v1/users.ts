import type Router from '@koa/router';
import type { Context } from 'koa';
import { sendEmpty } from '../http.ts';
import { type Registry, registryError } from '../registry.ts';
import { forbidCaching, sendJson } from './json.ts';
import { jsonReader } from './json-body.ts';
import { authorize } from './session.ts';

/**
 * Login (v1.md 2.5). Without accounts everybody is welcome, as ever. With accounts, POST must be refused: engines up
 * to 1.10 take its 201 for a login, whatever the password, and after a 401 they ask GET, where the password counts.
 */
export function userRoutes(router: Router, registry: Registry): void {
  const readJson = jsonReader(registry.limits.jsonBytes);
  router.get('/v1/users', async (ctx) => {
    await requireUser(ctx, registry);
    sendJson(ctx, 200, 'OK');
  });
  router.post('/v1/users', async (ctx) => {
    if (registry.access.accounts) {
      throw registryError('UNAUTHORIZED', 'accounts are made by the operator of this registry');
    }
    await readJson(ctx, 'Error Decoding JSON');
    sendJson(ctx, 201, 'User Created');
  });
  router.put('/v1/users/:name', async (ctx) => {
    await requireUser(ctx, registry);
    if (registry.access.accounts) {
      throw registryError('DENIED', 'accounts are changed by the operator of this registry');
    }
    forbidCaching(ctx);
    sendEmpty(ctx, 204);
  });
}

async function requireUser(ctx: Context, registry: Registry): Promise<void> {
  if (!registry.access.accounts) return;
  const session = await authorize(ctx, registry, []);
  if (session.user !== undefined) return;
  throw registryError('UNAUTHORIZED', 'log in with a user name and a password');
}
