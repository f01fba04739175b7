import { setImmediate as turn } from 'node:timers/promises'

/** Milliseconds. A server lets a client begin anew about once a second, so slower words mean something else. */
const LONGEST_WORD = 700
/** Turns of the event loop: far more than any answer takes. */
const PATIENCE = 1_000_000

/** Asks a word again while the machine is too slow for it. */
export async function inTime<Answers>(ask: () => Promise<Answers>): Promise<Answers> {
  for (;;) {
    const began = performance.now()
    const answers = await ask()
    if (performance.now() - began <= LONGEST_WORD) return answers
  }
}

/** Waits until `quiet` in two turns of the event loop, one after the other. */
export async function settled(quiet: () => boolean): Promise<void> {
  for (let calm = 0, turns = 0; calm < 2; calm = quiet() ? calm + 1 : 0) {
    if (turns > PATIENCE) throw new Error('the counters and what has come never agree')
    turns += 1
    await turn()
  }
}
