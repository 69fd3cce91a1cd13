/** Loads an ES module of the operator. Stands alone, since code that V8 has kept can't do that (src/launch.ts). */
export function importModule(url: string): Promise<unknown> {
  return import(url);
}
