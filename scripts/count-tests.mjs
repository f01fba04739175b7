// Adds up vitest's JSON reports: prints the table that .ci/run ends with, the plain line last.
//
//   node scripts/count-tests.mjs <report.json>...      exit 1 unless tests ran and none failed
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'

const total = { passed: 0, failed: 0, skipped: 0 }
for (const file of process.argv.slice(2)) {
  const count = counted(file)
  console.log(`${basename(file, '.json')}: ${line(count)}`)
  for (const outcome of Object.keys(total)) total[outcome] += count[outcome]
}
console.log(line(total))
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1

/** A report that is missing or unreadable counts as one failure: the run ended before it wrote. */
function counted(file) {
  let report
  try {
    report = JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return { passed: 0, failed: 1, skipped: 0 }
  }
  const count = { passed: 0, failed: 0, skipped: 0 }
  for (const { status, assertionResults } of report.testResults) {
    for (const { status: outcome } of assertionResults) {
      count[outcome === 'passed' || outcome === 'failed' ? outcome : 'skipped'] += 1
    }
    // A file that does not even load has no tests to count, and has failed all the same.
    const named = assertionResults.some((test) => test.status === 'failed')
    if (status === 'failed' && !named) count.failed += 1
  }
  // For example an unhandled rejection after the last test.
  if (!report.success && count.failed === 0) count.failed = 1
  return count
}

function line({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`
}
