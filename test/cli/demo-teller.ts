// Tells a demonstration's steps, as --json gave them, in the words of the one without it.

import { TextReporter } from '../../src/cli/demo/report.js'
import type { StepResult } from '../../src/cli/demo/steps.js'

const results = JSON.parse(process.argv[2] ?? '') as readonly StepResult[]
const reporter = new TextReporter()
for (const result of results) {
  reporter.begins(result.step, result.title)
  reporter.ended(result)
}
reporter.summary(
  results,
  results.reduce((sum, { milliseconds }) => sum + milliseconds, 0),
)
