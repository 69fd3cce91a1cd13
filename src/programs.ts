/** What the bundle runs. Each is evaluated when it is called for, and not before. */
export const programs = {
  isthmus: () => import('./main.ts'),
  registry: () => import('./bin/registry.ts'),
  worker: () => import('./workers/entry.ts'),
};

export type Program = keyof typeof programs;
