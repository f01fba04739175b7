// Calls the addon as no code of ours would: arguments of any type and shape, in any order, with accessors that
// run JavaScript in the middle of a call. It may throw; it may not crash, and every error is typed.
//
//   abuse.ts [seed] [programs]      prints the last program before it runs it, to the file descriptor 3 if there is one
//
// The arguments are data (see Argument), so that fast-check can shrink a program to the calls that matter.

import { writeSync } from 'node:fs'
import fc from 'fast-check'
import { loadAddon } from '../../../src/native/load.js'
import { ACTIONS, type Action, CALLS, World } from './abuse-world.js'

/** What becomes of one argument that would be right. */
type Argument =
  | { readonly as: 'good' }
  | { readonly as: 'odd'; readonly value: number }
  | { readonly as: 'without'; readonly field: number }
  | { readonly as: 'more' }
  | { readonly as: 'changed'; readonly field: number; readonly value: number }
  | { readonly as: 'accessor'; readonly field: number; readonly action: Action }
  | { readonly as: 'proxy'; readonly action: Action }

interface Call {
  readonly name: string
  readonly on: number
  readonly args: readonly Argument[]
  readonly missing: number
}

const addon = loadAddon()
const [seed = 1, programs = 100] = process.argv.slice(2).map(Number)
const planted = new Error('planted')
const small = fc.nat({ max: 63 })
const action = fc.constantFrom(...ACTIONS)

const argument: fc.Arbitrary<Argument> = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ as: 'good' as const }) },
  { weight: 3, arbitrary: fc.record({ as: fc.constant('odd' as const), value: small }) },
  { weight: 1, arbitrary: fc.record({ as: fc.constant('without' as const), field: small }) },
  { weight: 1, arbitrary: fc.constant({ as: 'more' as const }) },
  {
    weight: 2,
    arbitrary: fc.record({ as: fc.constant('changed' as const), field: small, value: small }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ as: fc.constant('accessor' as const), field: small, action }),
  },
  { weight: 1, arbitrary: fc.record({ as: fc.constant('proxy' as const), action }) },
)
const call: fc.Arbitrary<Call> = fc.record({
  name: fc.constantFrom(...Object.keys(CALLS)),
  on: fc.nat({ max: 7 }),
  args: fc.array(argument, { minLength: 5, maxLength: 5 }),
  missing: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.nat({ max: 5 })),
})

/** `good` as the recipe wants it: replaced, or with a field less, more, of another type, or that runs code. */
function made(recipe: Argument, good: unknown, world: World): unknown {
  if (recipe.as === 'good') return good
  if (recipe.as === 'odd') return world.odd(recipe.value)
  if (typeof good !== 'object' || good === null) return good
  if (recipe.as === 'proxy') return world.proxied(good, recipe.action, planted)
  if (Object.getPrototypeOf(good) !== Object.prototype) return good
  const copy: Record<string, unknown> = { ...good }
  if (recipe.as === 'more') return { ...copy, another: 1 }
  const names = Object.keys(copy)
  const name = names[recipe.field % names.length] ?? 'another'
  if (recipe.as === 'without') delete copy[name]
  else if (recipe.as === 'changed') copy[name] = world.odd(recipe.value)
  else {
    const value = copy[name]
    Object.defineProperty(copy, name, {
      enumerable: true,
      get: () => {
        world.act(recipe.action, copy, planted)
        return value
      },
    })
  }
  return copy
}

const counts = { calls: 0, threw: 0 }
const errors = new Map<string, number>()

function isTyped(error: unknown): boolean {
  if (error === planted) return true
  if (error instanceof TypeError || error instanceof RangeError) return true
  return error instanceof Error && error.message.startsWith('mcbn addon: ')
}

function run(world: World, { name, on, args, missing }: Call): void {
  const known = CALLS[name]
  if (!known) throw new Error(`no call ${name}`)
  const goods = known(world, on)
  const given = goods.args.map((good, i) => made(args[i] ?? { as: 'good' }, good, world))
  if (missing > 0) given.length = Math.max(0, given.length - missing)
  counts.calls += 1
  try {
    world.keep(goods.call(given))
  } catch (error) {
    counts.threw += 1
    if (!isTyped(error)) throw error
    const text = (error as Error).message.slice(0, 60)
    errors.set(text, (errors.get(text) ?? 0) + 1)
  }
}

/** Where the next program is said before it runs: of a crash, all that is left. */
function say(calls: readonly Call[]): void {
  try {
    writeSync(3, `${JSON.stringify(calls)}\n`)
  } catch {}
}

const property = fc.asyncProperty(
  fc.array(call, { minLength: 1, maxLength: 30, size: 'max' }),
  async (calls) => {
    say(calls)
    const world = new World(addon)
    for (const one of calls) run(world, one)
    // What was queued arrives, or is dropped, with what is left.
    await new Promise((resolve) => setImmediate(resolve))
    world.close()
  },
)

process.on('uncaughtException', (error) => {
  if (isTyped(error)) return
  console.error(error)
  process.exit(1)
})
await fc.assert(property, { seed, numRuns: programs })
console.log(JSON.stringify({ ...counts, kinds: errors.size }))
if (process.env['MCBN_ABUSE_ERRORS']) console.log([...errors].sort((a, b) => b[1] - a[1]))
