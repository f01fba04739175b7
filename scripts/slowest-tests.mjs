// Which tests take the time: `vitest run --reporter=json --outputFile=report.json && node scripts/slowest-tests.mjs
// report.json...`. The fifty slowest of all reports, and the ten files that take longest, in seconds.
import { readFileSync } from 'node:fs'
import { relative } from 'node:path'

const MOST_TESTS = 50
const MOST_FILES = 10

const files = process.argv.slice(2).flatMap((report) =>
  JSON.parse(readFileSync(report, 'utf8')).testResults.map(({ name, assertionResults }) => ({
    file: relative(process.cwd(), name),
    tests: assertionResults,
  })),
)
const tests = files.flatMap(({ file, tests }) =>
  tests.map(({ fullName, duration = 0 }) => ({ text: `${file} > ${fullName}`, duration })),
)
const whole = files.map(({ file, tests }) => ({
  text: file,
  duration: tests.reduce((sum, { duration = 0 }) => sum + duration, 0),
}))
list(`The ${MOST_TESTS} slowest of ${tests.length} tests`, tests, MOST_TESTS)
list(`The ${MOST_FILES} files that take longest`, whole, MOST_FILES)

function list(title, all, most) {
  const shown = [...all].sort((one, other) => other.duration - one.duration).slice(0, most)
  const sum = shown.reduce((total, { duration }) => total + duration, 0)
  console.log(`${title}: ${(sum / 1000).toFixed(1)} s`)
  for (const { duration, text } of shown) {
    console.log(`${(duration / 1000).toFixed(2).padStart(8)} ${text}`)
  }
}
