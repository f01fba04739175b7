// Measures mcbn beside what else there is, in turns, and says how far it is from DESIGN's bars.
//
//   npm run bench -- [names] [--seconds 2] [--rounds 5] [--json FILE] [--svg FILE] [--against FOLDER] [--list]
//
// A name selects every measurement that begins with it; none selects all. --against: another checkout, with its
// node_modules, whose participant consent-release measures beside ours. docs/BENCHMARKS.md tells how
// each is made. All traffic stays on 127.0.0.1; every process is bounded in time and ended by its pid.

import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { consentMeasurements } from './consent.js'
import { strangerMeasurements } from './consent-strangers.js'
import { blockedMeasurements } from './dtls-blocked.js'
import { echoMeasurements } from './dtls-echo.js'
import { handshakeMeasurements } from './dtls-handshakes.js'
import { idleMeasurements } from './dtls-idle.js'
import { sessionMeasurements } from './dtls-sessions.js'
import { streamMeasurements } from './dtls-stream.js'
import { versionMeasurements } from './dtls-versions.js'
import { Anchors, NOT_ASKED_FOR } from './lib/anchors.js'
import { chart } from './lib/chart.js'
import { measure, type Result, turnsOf } from './lib/measurement.js'
import { Progress } from './lib/progress.js'
import { json, machine, table } from './lib/report.js'
import { cannotCount } from './lib/system-calls.js'
import { tlsMeasurements } from './lib/tls-measurements.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '5' },
    json: { type: 'string' },
    svg: { type: 'string' },
    against: { type: 'string' },
    list: { type: 'boolean', default: false },
  },
})
const seconds = within('seconds', Number(values.seconds), 0.2, 30)
const rounds = within('rounds', Number(values.rounds), 1, 100)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

const selected = (name: string): boolean =>
  positionals.length === 0 || positionals.some((wanted) => name.startsWith(wanted))

process.stderr.write('building the anchors\n')
using anchors = new Anchors({
  pion: selected('handshakes') || selected('stream-ccm8-64'),
  wolfssl: ['handshakes', 'stream-64', 'stream-1200'].some((name) => selected(`versions-${name}`)),
})
for (const [what, why] of Object.entries(anchors.missing)) {
  if (why !== undefined && why !== NOT_ASKED_FOR) {
    process.stderr.write(`NO ${what.toUpperCase()} ANCHORS: ${why}\n`)
  }
}

if (cannotCount !== undefined) {
  process.stderr.write(`NO COUNTS OF SYSTEM CALLS: ${cannotCount}\n`)
}

const measurements = [
  ...tlsMeasurements(),
  ...streamMeasurements(anchors),
  ...echoMeasurements(anchors),
  ...handshakeMeasurements(anchors),
  ...versionMeasurements(anchors),
  ...idleMeasurements(anchors),
  ...sessionMeasurements(anchors),
  ...blockedMeasurements(),
  ...consentMeasurements(values.against),
  ...strangerMeasurements(),
].filter(({ name }) => selected(name))

if (values.list) {
  for (const { name, title } of measurements) console.log(`${name.padEnd(18)}${title}`)
} else if (measurements.length === 0) {
  fail(`no measurement begins with ${positionals.join(' or ')}; --list names them`)
} else {
  const measuredOn = machine()
  const progress = new Progress(turnsOf(measurements, rounds))
  const results: Result[] = []
  for (const measurement of measurements) {
    results.push(await measure(measurement, rounds, seconds, (turn) => progress.turn(turn)))
  }
  progress.stop()
  const { node, openssl, platform, processor, cores } = measuredOn
  console.log(`Node ${node} (OpenSSL ${openssl}), ${platform}, ${cores} x ${processor}`)
  console.log(
    `medians of ${rounds} rounds of ${seconds} s; a ratio is the median of the rounds' own\n`,
  )
  console.log(table(results))
  const written = json(results, { seconds, rounds }, measuredOn)
  if (values.json !== undefined) writeFileSync(values.json, written)
  if (values.svg !== undefined) writeFileSync(values.svg, chart(JSON.parse(written)))
  // What could not be measured is said in the table, and here.
  if (results.some(({ subjects }) => subjects.some(({ failure }) => failure !== undefined))) {
    process.exitCode = 1
  }
}

function within(name: string, value: number, least: number, most: number): number {
  if (!(value >= least && value <= most)) {
    fail(`--${name}: expected a number from ${least} to ${most}, got ${value}`)
  }
  return value
}

function fail(message: string): never {
  process.stderr.write(`${message}\n`)
  process.exit(2)
}
