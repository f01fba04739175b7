// A story as a list of steps: each holds or does not, and a reader sees which.

/** What a step found, when it held. */
export interface Finding {
  /** One line for people. Never a secret. */
  readonly detail: string
  /** More for people, a line each. */
  readonly also?: readonly string[]
  /** The same for machines. */
  readonly facts?: Readonly<Record<string, string | number | boolean>>
}

export interface Step<Context> {
  /** Stable, for machines. */
  readonly name: string
  /** A sentence without its full stop. */
  readonly title: string
  /** Throws when the step does not hold; {@link StepFailed} where the message is all there is to say. */
  run(context: Context): Promise<Finding> | Finding
}

export interface StepResult {
  readonly step: number
  readonly name: string
  readonly title: string
  readonly outcome: 'held' | 'failed' | 'skipped'
  readonly milliseconds: number
  readonly detail: string
  readonly also?: Finding['also']
  readonly facts?: Finding['facts']
  readonly error?: unknown
}

/** Told about a run while it runs. */
export interface StepReporter {
  begins(step: number, title: string): void
  ended(result: StepResult): void
}

/** Something was expected and something else came. */
export class StepFailed extends Error {
  override readonly name = 'StepFailed'
}

/** Longest time for one step, in milliseconds: far above what any needs, below anybody's patience. */
export const STEP_LIMIT_MS = 45_000

/**
 * Runs steps in order. After one that failed, the others are skipped: they build on it.
 * @param limit - milliseconds that one step may take; then it counts as failed.
 */
export async function runSteps<Context>(
  steps: readonly Step<Context>[],
  context: Context,
  reporter: StepReporter,
  limit = STEP_LIMIT_MS,
): Promise<readonly StepResult[]> {
  const results: StepResult[] = []
  for (const [index, step] of steps.entries()) {
    const failed = results.some(({ outcome }) => outcome !== 'held')
    const result = failed ? skipped(step, index + 1) : await runStep(step, index + 1)
    results.push(result)
    reporter.ended(result)
  }
  return results

  async function runStep(step: Step<Context>, number: number): Promise<StepResult> {
    reporter.begins(number, step.title)
    const began = performance.now()
    const told = { step: number, name: step.name, title: step.title }
    try {
      const finding = await withinLimit(step, context, limit)
      return { ...told, outcome: 'held', milliseconds: since(began), ...finding }
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error)
      return { ...told, outcome: 'failed', milliseconds: since(began), detail, error }
    }
  }
}

function skipped({ name, title }: Step<never>, step: number): StepResult {
  return { step, name, title, outcome: 'skipped', milliseconds: 0, detail: 'not tried' }
}

async function withinLimit<Context>(
  step: Step<Context>,
  context: Context,
  limit: number,
): Promise<Finding> {
  let timer: NodeJS.Timeout | undefined
  const tooLong = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new StepFailed(`expected an end within ${limit} ms, got none`))
    }, limit)
  })
  try {
    return await Promise.race([step.run(context), tooLong])
  } finally {
    clearTimeout(timer)
  }
}

/** Milliseconds with one digit after the point. */
function since(began: number): number {
  return Math.round((performance.now() - began) * 10) / 10
}
