// Waiting that ends: with the answer, with the caller's signal, or after some time.

/** One span of waiting; {@link end} it when the answer is there. */
export interface Deadline {
  /** Aborts with the caller's signal, or when the time is up. */
  readonly signal: AbortSignal
  end(): void
}

/**
 * @param parents - end the waiting too, with their own reason.
 * @param milliseconds - 0 waits until a parent aborts.
 * @param reason - makes the signal's reason when the time is up.
 */
export function startDeadline(
  parents: readonly (AbortSignal | undefined)[],
  milliseconds: number,
  reason: () => Error,
): Deadline {
  // By hand rather than AbortSignal.any(): a caller's signal can live as long as the process, and must
  // not keep what hung on it.
  const controller = new AbortController()
  const follow = (): void => controller.abort(parents.find((parent) => parent?.aborted)?.reason)
  if (parents.some((parent) => parent?.aborted)) follow()
  for (const parent of parents) parent?.addEventListener('abort', follow, { once: true })
  const timer =
    milliseconds === 0 ? undefined : setTimeout(() => controller.abort(reason()), milliseconds)
  return {
    signal: controller.signal,
    end() {
      clearTimeout(timer)
      for (const parent of parents) parent?.removeEventListener('abort', follow)
    },
  }
}

/** The promise, or the signal's reason if that comes first. The maker of the promise ends the work. */
export async function orAborted<Value>(
  promise: Promise<Value>,
  signal: AbortSignal,
): Promise<Value> {
  // Nobody may be waiting for it any more when it fails.
  promise.catch(() => undefined)
  let stop = (): void => undefined
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason)
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** Resolves after so many milliseconds, or when the signal aborts; never rejects. */
export async function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, milliseconds)
    signal.addEventListener('abort', done, { once: true })
  })
}
