// SIGINT and SIGTERM: the first asks for an orderly end, the second gets any end at once.

import { constants } from 'node:os'

const STOP_SIGNALS = ['SIGINT', 'SIGTERM'] as const
type StopSignal = (typeof STOP_SIGNALS)[number]

/** What shells report for a program that a signal ended: 130 for SIGINT, 143 for SIGTERM. */
export function signalExitCode(signal: StopSignal): number {
  return 128 + constants.signals[signal]
}

/** Calls back for the first signal; a second one ends the process whatever it is doing. */
export function onStopSignal(callback: (signal: StopSignal) => void | Promise<void>): void {
  let stopping = false
  for (const signal of STOP_SIGNALS) {
    process.on(signal, () => {
      if (stopping) process.exit(signalExitCode(signal))
      stopping = true
      void callback(signal)
    })
  }
}
