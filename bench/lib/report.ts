// The table for people, the object for machines.

import { readFileSync } from 'node:fs'
import { arch, cpus, platform, release, totalmem } from 'node:os'
import Table from 'cli-table3'
import {
  type Measurement,
  median,
  pairedRatio,
  type Result,
  type SubjectResult,
} from './measurement.js'

const HEAD = [
  'who',
  'median',
  'least .. most',
  'mcbn / it',
  'bar',
  'each: processor us; calls; besides',
]
// Lines between the rows would hide the figures.
const LEAN = { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' }

export function table(results: readonly Result[]): string {
  return results.map(oneTable).join('\n')
}

function oneTable(result: Result): string {
  const { measurement, subjects } = result
  const [ours] = subjects
  const rows = subjects.map((subject) => {
    const known = subject.values.filter(Number.isFinite)
    const ratio = ours === undefined ? Number.NaN : pairedRatio(ours.values, subject.values)
    return [
      subject.name,
      subject.failure === undefined || known.length > 0
        ? shown(median(known), measurement)
        : 'failed',
      `${shown(Math.min(...known), measurement)} .. ${shown(Math.max(...known), measurement)}`,
      subject === ours || known.length === 0 ? '' : ratio.toFixed(2),
      barOf(measurement, subject.name, ratio, median(known)),
      costsOf(subject),
    ]
  })
  const formatted = new Table({ head: HEAD, chars: LEAN, style: { head: [], border: [] } })
  formatted.push(...rows)
  const failures = subjects.flatMap(({ name, failure }) => (failure ? [`${name}: ${failure}`] : []))
  const notes = [...measurement.skipped.map((why) => `SKIPPED ${why}`), ...failures]
  const unit = `${measurement.unit}, ${measurement.better} is better`
  return [
    `${measurement.name}: ${measurement.title} (${unit})`,
    formatted.toString(),
    ...notes,
    '',
  ].join('\n')
}

function costsOf({ costs, counts, facts = {} }: SubjectResult): string {
  return [
    ...Object.entries(costs).map(([process, values]) => `${process} ${median(values).toFixed(2)}`),
    ...Object.entries(counts).map(([what, count]) => `${what} ${rounded(count)}`),
    ...Object.entries(facts).map(([what, count]) => `${what} ${count.toLocaleString('en')}`),
  ].join(', ')
}

/** A message may be a thousandth of a call. */
function rounded(count: number): string {
  return count >= 0.1 ? count.toFixed(2) : count.toPrecision(1)
}

function barOf(measurement: Measurement, subject: string, ratio: number, own: number): string {
  for (const bar of measurement.bars) {
    const [value, limit] = 'limit' in bar ? [own, bar.limit] : [ratio, bar.ratio]
    const meant = 'limit' in bar ? subject === 'mcbn' : bar.against === subject
    if (!meant) continue
    const met = measurement.better === 'higher' ? value >= limit : value <= limit
    return `${measurement.better === 'higher' ? '>=' : '<='} ${limit}: ${met ? 'met' : 'not met'}`
  }
  return ''
}

function shown(value: number, { unit }: Measurement): string {
  if (!Number.isFinite(value)) return '-'
  if (unit === '/s' || unit === 'lost') return Math.round(value).toLocaleString('en')
  return value.toFixed(unit === 'GB/s' ? 2 : 1)
}

/** What the figures were measured on; nothing that names the machine. */
export function machine() {
  return {
    node: process.version,
    openssl: process.versions.openssl,
    platform: `${platform()} ${release().split('-')[0]} ${arch()}`,
    processor: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGB: Math.round(totalmem() / 2 ** 30),
    loadAverage: loadAverage(),
  }
}

/** Others' work on the machine shows here before the first turn. */
function loadAverage(): number | undefined {
  try {
    return Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0])
  } catch {
    return undefined
  }
}

export function json(
  results: readonly Result[],
  settings: { readonly seconds: number; readonly rounds: number },
  measuredOn: ReturnType<typeof machine>,
): string {
  const measurements = results.map(({ measurement, subjects }) => ({
    name: measurement.name,
    title: measurement.title,
    unit: measurement.unit,
    better: measurement.better,
    bars: measurement.bars,
    skipped: measurement.skipped,
    subjects: subjects.map((subject) => ({
      ...subject,
      median: median(subject.values),
      mcbnShare: pairedRatio(subjects[0]?.values ?? [], subject.values),
    })),
  }))
  return `${JSON.stringify({ machine: measuredOn, ...settings, measurements }, null, 2)}\n`
}
