/** Waits until `check` gives something other than false and undefined, and gives that; fails after `ms`. */
export async function eventually<T>(
  check: () => T | Promise<T>,
  what: string,
  ms = 10_000,
): Promise<Exclude<T, false | undefined>> {
  for (const deadline = Date.now() + ms; ; ) {
    const found = await check();
    if (found !== false && found !== undefined) return found as Exclude<T, false | undefined>;
    if (Date.now() > deadline) throw new Error(`never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
