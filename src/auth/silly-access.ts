import type { Access, AccessControl, AccessRequest, Session } from '../../protocols/registry.ts';
import type { Challenges } from './challenges.ts';

const session: Session = { user: 'silly', may: () => true };

/** distribution's access control for tests of clients: any Authorization header passes, none is challenged. */
export class SillyAccess implements AccessControl {
  readonly accounts = true;
  readonly #challenges: Challenges;

  constructor(challenges: Challenges) {
    this.#challenges = challenges;
  }

  authorize(request: AccessRequest, wanted: readonly Access[]): Session {
    if (request.authorization !== undefined) return session;
    throw this.#challenges.unauthorized(request, wanted);
  }
}
