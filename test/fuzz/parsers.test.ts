// Structure-aware fuzzing of every parser. A few hundred inputs each in every check; for longer:
//
//   MCBN_FUZZ_SECONDS=60 MCBN_FUZZ_SEED=7 npx vitest run test/fuzz
//
// gives each target that many seconds and prints how many inputs it took. docs/RELIABILITY.md has the figures.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { McbnError } from '../../src/errors.js'
import { slowdown } from '../support/pace.js'
import { bytesLike, jsonLike, textLike } from './mutations.js'
import { TARGETS, type Target } from './targets.js'

const seconds = Number(process.env['MCBN_FUZZ_SECONDS'] ?? 0)
const seed = Number(process.env['MCBN_FUZZ_SEED'] ?? 1)
const RUNS = 200
/** Errors are for a log: no parser answers with a page of what it was given. */
const LONGEST_MESSAGE = 2_000

const patience = (seconds + 60) * 1_000 * slowdown

describe('fuzz/parsers: a value or one of its errors, for any input', () => {
  it.each(TARGETS)(
    '$name',
    async (target) => {
      let [inputs, accepted] = [0, 0]
      const property = fc.asyncProperty(inputsOf(target), async (input) => {
        inputs += 1
        try {
          await target.run(input as never)
          accepted += 1
        } catch (error) {
          expectOwnError(target, error)
        }
      })
      const limits =
        seconds > 0
          ? { numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: seconds * 1_000 }
          : { numRuns: RUNS }
      await fc.assert(property, { seed, ...limits })
      if (seconds > 0) console.log(`${target.name}: ${inputs} inputs, ${accepted} accepted`)
      // Otherwise the seeds no longer are what the parser takes, and nothing behind its door is reached.
      expect(accepted).toBeGreaterThan(0)
    },
    patience,
  )
})

function inputsOf(target: Target): fc.Arbitrary<unknown> {
  if (target.kind === 'bytes') return bytesLike(target.seeds)
  return target.kind === 'text' ? textLike(target.seeds) : jsonLike(target.seeds)
}

function expectOwnError({ errors, shows = [] }: Target, error: unknown): void {
  if (!(error instanceof Error)) throw error
  const name = error instanceof McbnError ? error.code : error.name
  // The error itself says more than that its name was not in the list.
  if (!errors.includes(name)) throw error
  expect(error.message.length).toBeLessThan(LONGEST_MESSAGE)
  for (const secret of shows) {
    for (let at = 0; at + 12 <= secret.length; at += 1) {
      if (error.message.includes(secret.slice(at, at + 12))) throw new Error('shows a key')
    }
  }
}
