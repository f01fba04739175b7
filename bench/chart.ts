// Draws what a run has written: node --import tsx bench/chart.ts results.json > docs/images/benchmarks.svg

import { readFileSync } from 'node:fs'
import { chart } from './lib/chart.js'

const [file] = process.argv.slice(2)
if (file === undefined) {
  process.stderr.write('expected the file that npm run bench -- --json wrote, got none\n')
  process.exitCode = 2
} else process.stdout.write(chart(JSON.parse(readFileSync(file, 'utf8'))))
