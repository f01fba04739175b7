// What a build is at, on a terminal: it takes seconds, or a minute the first time.

import createSpinner from 'yocto-spinner'
import { isTerminal } from './diagnostics.js'

/** @param work - is given what it may tell of each step; nothing is shown where no terminal is. */
export async function withProgress<Result>(
  work: (onStep: (what: string) => void) => Promise<Result>,
): Promise<Result> {
  if (!isTerminal(process.stderr)) return await work(() => {})
  const spinner = createSpinner({ stream: process.stderr }).start()
  try {
    return await work((what) => {
      spinner.text = what
    })
  } finally {
    spinner.stop()
  }
}
