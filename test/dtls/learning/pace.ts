import { setImmediate as turn } from 'node:timers/promises'

/** Milliseconds. A server lets a client begin anew about once a second, so slower words mean something else. */
const LONGEST_WORD = 700
/** Turns of the event loop: far more than any answer takes. */
const PATIENCE = 1_000_000

/** Whether a word must be asked again because the machine was too slow for it. */
export function tookTooLong(began: number): boolean {
  return performance.now() - began > LONGEST_WORD
}

/** Waits until `quiet` in two turns of the event loop, one after the other. */
export async function settled(quiet: () => boolean): Promise<void> {
  for (let calm = 0, turns = 0; calm < 2; calm = quiet() ? calm + 1 : 0) {
    if (turns > PATIENCE) throw new Error('the counters and what has come never agree')
    turns += 1
    await turn()
  }
}
