import { describe, expect, it, vi } from 'vitest'
import { measuredPace, paceOf } from '../../src/cli/demo/cast.js'
import { TextReporter } from '../../src/cli/demo/report.js'
import {
  runSteps,
  STEP_LIMIT_MS,
  type Step,
  StepFailed,
  type StepResult,
} from '../../src/cli/demo/steps.js'

/** Runs steps and gives back what a reporter was told, in order. */
async function told(steps: readonly Step<string[]>[], limit?: number) {
  const heard: string[] = []
  const reporter = {
    begins: (step: number) => heard.push(`begins ${step}`),
    ended: ({ step, outcome }: StepResult) => heard.push(`${outcome} ${step}`),
  }
  const context: string[] = []
  const results = await runSteps(steps, context, reporter, limit)
  return { heard, results, context }
}

function step(name: string, run: (context: string[]) => unknown = () => undefined): Step<string[]> {
  return {
    name,
    title: name,
    async run(context) {
      context.push(name)
      await run(context)
      return { detail: `${name} done`, facts: { name } }
    },
  }
}

const TITLE = 'Server and client ask; without Carol nothing listens'

const failing = step('failing', () => {
  throw new StepFailed('expected 1, got 2')
})

describe('cli/demo/steps', () => {
  it('skips everything behind a step that failed', async () => {
    const { heard, results, context } = await told([step('first'), failing, step('last')])
    expect(heard).toEqual(['begins 1', 'held 1', 'begins 2', 'failed 2', 'skipped 3'])
    expect(context).toEqual(['first', 'failing'])
    expect(results[1]).toMatchObject({ detail: 'expected 1, got 2', outcome: 'failed' })
    expect(results[2]).toMatchObject({ detail: 'not tried', milliseconds: 0 })
  })

  it('takes a step that does not end for one that failed', async () => {
    const { results } = await told([step('endless', () => new Promise(() => undefined))], 50)
    expect(results).toMatchObject([{ outcome: 'failed' }])
    expect(results[0]?.detail).toMatch(/within 50 ms/)
  })

  it('reports anything thrown', async () => {
    const odd = step('odd', () => Promise.reject('just text'))
    expect((await told([odd])).results[0]).toMatchObject({ outcome: 'failed', detail: 'just text' })
  })

  it('runs steps in order and keeps what each found', async () => {
    const { heard, results } = await told([step('one'), step('two')])
    expect(heard).toEqual(['begins 1', 'held 1', 'begins 2', 'held 2'])
    expect(results).toMatchObject([
      { step: 1, name: 'one', outcome: 'held', detail: 'one done', facts: { name: 'one' } },
      { step: 2, name: 'two', outcome: 'held', detail: 'two done' },
    ])
  })

  it.each(['held', 'failed', 'skipped'] as const)(
    'shows a table that 80 columns hold, however long a step took: %s',
    (outcome) => {
      const written = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
      const row = { name: 'ask', title: TITLE, detail: '', facts: {}, milliseconds: STEP_LIMIT_MS }
      new TextReporter().summary(
        Array.from({ length: 12 }, (_, at) => ({ ...row, step: at + 1, outcome })),
        12 * STEP_LIMIT_MS,
      )
      const text = written.mock.calls.map(([chunk]) => chunk).join('')
      written.mockRestore()
      expect(text).toContain(TITLE)
      expect(text.split('\n').filter((line) => line.length > 80)).toEqual([])
    },
  )
})

describe('demo/pace', () => {
  it('is as patient as the machine is slow, within what a step may take', () => {
    for (const slowness of [0, 0.3, 1, Number.NaN]) {
      expect(paceOf(slowness)).toEqual({ leaseSeconds: 8, patience: 1_500, join: 10_000 })
    }
    expect(paceOf(2.5)).toEqual({ leaseSeconds: 20, patience: 3_750, join: 25_000 })
    const slowest = paceOf(Number.POSITIVE_INFINITY)
    expect(1_000 * slowest.leaseSeconds).toBeLessThan(STEP_LIMIT_MS)
    expect(slowest.join).toBeLessThan(STEP_LIMIT_MS)
  })

  it('is measured, and never below that of a machine at rest', async () => {
    const { leaseSeconds } = await measuredPace()
    expect(leaseSeconds).toBeGreaterThanOrEqual(8)
    expect(leaseSeconds).toBeLessThanOrEqual(32)
  })
})
