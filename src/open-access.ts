import type { AccessControl, Session } from '../protocols/registry.ts';

const anyone: Session = { user: undefined, may: () => true };

/** No accounts: everybody may do everything, as docker-registry's `standalone` and distribution without `auth`. */
export const openAccess: AccessControl = {
  accounts: false,
  authorize: () => anyone,
};
