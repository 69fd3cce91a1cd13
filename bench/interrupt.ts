const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
const STATUS = 130;

/** Does what `task` does; where the user ends the benchmark meanwhile, `end` is done before it ends. */
export async function interruptible<T>(
  task: () => Promise<T>,
  end: () => Promise<void>,
): Promise<T> {
  let ended: Promise<void> | undefined;
  const endOnce = () => {
    ended ??= end();
    return ended;
  };
  const stop = () => {
    void endOnce().finally(() => process.exit(STATUS));
  };
  for (const signal of SIGNALS) process.once(signal, stop);
  try {
    return await task();
  } finally {
    await endOnce();
    for (const signal of SIGNALS) process.removeListener(signal, stop);
  }
}
