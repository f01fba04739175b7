// The addon's functions called as no code of ours calls them (children/abuse.ts): in a separate process, so that a
// crash is seen as one. For longer:
//
//   MCBN_ABUSE_PROGRAMS=5000 MCBN_ABUSE_SEED=7 npx vitest run test/native/abuse.test.ts

import { expect, it } from 'vitest'
import { start, typescript } from '../support/process.js'

const programs = Number(process.env['MCBN_ABUSE_PROGRAMS'] ?? 150)
const seed = Number(process.env['MCBN_ABUSE_SEED'] ?? 1)

it('throws typed errors or does nothing, whatever it is given, and never crashes', {
  timeout: 120_000 + programs * 200,
}, async () => {
  const child = start(
    process.execPath,
    typescript('test/native/children/abuse.ts', `${seed}`, `${programs}`),
    { lifetime: 100_000 + programs * 200 },
  )
  const { code, signal } = await child.exited
  expect({ code, signal, stderr: child.stderr }).toEqual({ code: 0, signal: null, stderr: '' })
  const { calls, threw } = JSON.parse(child.stdout)
  // Otherwise the right arguments no longer are, or the odd ones are taken: nothing behind the first check is met.
  expect(threw / calls).toBeGreaterThan(0.1)
  expect(threw / calls).toBeLessThan(0.6)
  if (process.env['MCBN_ABUSE_PROGRAMS']) console.log(child.stdout)
})
