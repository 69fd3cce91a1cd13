import { describe, it } from 'node:test';

/** How strongly the specification asks for something (RFC 2119). `WE` is our own promise beyond it. */
export type Level = 'MUST' | 'SHOULD' | 'MAY' | 'WE';

/** One requirement of a specification and the check that proves it. */
export interface Requirement {
  /** Heading of the section, as the specification spells it. */
  section: string;
  level: Level;
  /** What the registry does, as a sentence. */
  says: string;
  check(): Promise<void>;
}

/** One test for each requirement, named by its section. */
export function describeRequirements(title: string, requirements: readonly Requirement[]): void {
  describe(title, () => {
    for (const { section, level, says, check } of requirements) {
      it(`${section} · ${level} · ${says}`, check);
    }
  });
}
