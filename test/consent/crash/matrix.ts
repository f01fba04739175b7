// The matrix of crashes: real processes, killed by SIGKILL at points that a seed chooses, and started again
// as an operator would. Afterwards nothing that was confirmed is missing, and nothing is there twice.

import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'
import { findAddon } from '../../../src/native/find.js'
import { seeded } from '../../support/random.js'
import { INSTANCES, makeWorld } from './world.js'

export const SCENARIOS = ['init', 'install', 'serve', 'withdraw', 'ceremony'] as const
export type Scenario = (typeof SCENARIOS)[number]

export interface MatrixOptions {
  readonly kills: number
  readonly seed: number
  readonly onKill?: (told: string) => void
}

export interface MatrixResult {
  /** Processes that were killed, by scenario. */
  readonly kills: Readonly<Record<Scenario, number>>
  /** What was lost, doubled or left; empty is what is hoped for. */
  readonly faults: readonly string[]
}

const MOMENTS = ['before', 'middle', 'after'] as const
/** Kills in a row before a process is let live. */
const MOST_IN_A_ROW = 3

interface Ran {
  readonly lines: readonly string[]
  readonly killed: boolean
  readonly report: string
}

/** Runs the matrix. Removes all that it made. */
export async function runMatrix({ kills, seed, onKill }: MatrixOptions): Promise<MatrixResult> {
  const parent = mkdtempSync(join(tmpdir(), 'mcbn-crash-'))
  try {
    return await new Matrix(parent, seed, onKill).run(kills)
  } finally {
    rmSync(parent, { recursive: true, force: true })
  }
}

/** The program of the processes, so that none of them has to compile it. @returns its path. */
export function bundleChild(folder: string): string {
  const outfile = join(folder, 'child.cjs')
  buildSync({
    entryPoints: [fileURLToPath(new URL('child.ts', import.meta.url))],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    logLevel: 'error',
    external: ['pg-native'],
  })
  return outfile
}

class Matrix {
  readonly #parent: string
  readonly #random: ReturnType<typeof seeded>
  readonly #onKill: MatrixOptions['onKill']
  readonly #kills: Record<Scenario, number> = {
    init: 0,
    install: 0,
    serve: 0,
    withdraw: 0,
    ceremony: 0,
  }
  readonly #faults: string[] = []
  readonly #operations = new Map<Scenario, number>()

  constructor(parent: string, seed: number, onKill: MatrixOptions['onKill']) {
    this.#parent = parent
    this.#random = seeded(seed)
    this.#onKill = onKill
  }

  async run(kills: number): Promise<MatrixResult> {
    bundleChild(this.#parent)
    const world = await makeWorld(randomBytes(32).toString('hex'))
    writeFileSync(join(this.#parent, 'world.json'), JSON.stringify(world), { mode: 0o600 })
    const base = this.#prepare()
    for (let trial = 0; this.#total() < kills; trial += 1) {
      const scenario = SCENARIOS[trial % SCENARIOS.length] as Scenario
      const folder = join(this.#parent, `trial-${trial}`)
      if (scenario === 'init' || scenario === 'ceremony')
        mkdirSync(join(folder, 'shared'), { recursive: true })
      else cpSync(base, folder, { recursive: true })
      this.#trial(scenario, folder)
      rmSync(folder, { recursive: true, force: true })
    }
    return { kills: this.#kills, faults: this.#faults }
  }

  /** A folder at epoch 1, and how many operations each scenario has. */
  #prepare(): string {
    const base = join(this.#parent, 'base')
    mkdirSync(join(base, 'shared'), { recursive: true })
    this.#measure('init', base)
    for (const scenario of ['install', 'serve', 'withdraw'] as const) {
      const copy = join(this.#parent, `measure-${scenario}`)
      cpSync(base, copy, { recursive: true })
      this.#measure(scenario, copy)
    }
    const empty = join(this.#parent, 'measure-ceremony')
    mkdirSync(join(empty, 'shared'), { recursive: true })
    this.#measure('ceremony', empty)
    return base
  }

  #measure(scenario: Scenario, folder: string): void {
    const { lines, report } = this.#start(scenario, folder, 0, 'after')
    const done = /^done (\d+)$/.exec(lines.at(-1) ?? '')
    if (done === null) throw new Error(`${scenario} does not even end when it is let: ${report}`)
    this.#operations.set(scenario, Number(done[1]))
  }

  /** Kills, starts again, kills again; at last lets it end, and looks. */
  #trial(scenario: Scenario, folder: string): void {
    const said: string[] = []
    const times = 1 + Math.floor(this.#random() * MOST_IN_A_ROW)
    const points: string[] = []
    for (let at = 0; at < times; at += 1) {
      const most = this.#operations.get(scenario) ?? 1
      const operation = 1 + Math.floor(this.#random() * most)
      const moment = MOMENTS[Math.floor(this.#random() * MOMENTS.length)] ?? 'after'
      points.push(`${operation} ${moment}`)
      const { lines, killed, report } = this.#start(scenario, folder, operation, moment)
      said.push(...lines)
      if (killed) this.#kills[scenario] += 1
      else if (!lines.at(-1)?.startsWith('done')) this.#fault(scenario, points, report)
    }
    this.#onKill?.(`${this.#total()} kills, ${scenario} at ${points.join(', ')}`)
    const end = this.#start(scenario, folder, 0, 'after')
    said.push(...end.lines)
    if (!end.lines.at(-1)?.startsWith('done')) this.#fault(scenario, points, end.report)
    for (const fault of this.#judge(scenario, folder, said)) this.#fault(scenario, points, fault)
  }

  #start(scenario: string, folder: string, operation: number, moment: string): Ran {
    const child = spawnSync(
      process.execPath,
      [
        join(this.#parent, 'child.cjs'),
        ...[scenario, folder, join(this.#parent, 'world.json'), `${operation}`, moment],
      ],
      { env: { ...process.env, MCBN_ADDON: `${findAddon()}` }, encoding: 'utf8', timeout: 60_000 },
    )
    const lines = child.stdout.split('\n').filter((line) => line !== '')
    return { lines, killed: child.signal === 'SIGKILL', report: child.stderr.slice(-600) }
  }

  #judge(scenario: Scenario, folder: string, said: readonly string[]): string[] {
    if (scenario === 'ceremony') return judgeCeremony(folder, said)
    const { lines, report } = this.#start('look', folder, 0, 'after')
    const found = lines.find((line) => line.startsWith('state '))
    if (found === undefined) return [`the folder does not open: ${report}`]
    return judgeFolder(scenario, join(folder, 'alice'), said, JSON.parse(found.slice(6)) as Found)
  }

  #fault(scenario: Scenario, points: readonly string[], what: string): void {
    this.#faults.push(`${scenario}, killed at ${points.join(', ')}: ${what}`)
  }

  #total(): number {
    return Object.values(this.#kills).reduce((sum, count) => sum + count, 0)
  }
}

interface Found {
  readonly epoch: number
  /** Of which epoch share and policy are. */
  readonly share: number
  readonly policy: number
  readonly withdrawn: boolean
  readonly decisions: readonly string[]
  readonly leases: readonly string[]
  readonly lines: number
}

function judgeFolder(
  scenario: Scenario,
  dir: string,
  said: readonly string[],
  found: Found,
): string[] {
  const faults: string[] = []
  const expect = (what: string, right: boolean): void => void (right || faults.push(what))
  const audit = readFileSync(join(dir, 'audit.jsonl'), 'utf8').trimEnd().split('\n')
  const lines = audit.map((line) => JSON.parse(line) as Record<string, unknown>)
  const of = (...events: string[]) => lines.filter(({ event }) => events.includes(`${event}`))
  const confirmed = (word: string) =>
    said.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1))
  const epoch = scenario === 'install' ? 2 : 1
  expect(
    `epoch ${found.epoch}, share of ${found.share}, policy of ${found.policy}`,
    found.epoch === epoch && found.share === epoch && found.policy === epoch,
  )
  const installed = of('epoch-installed').map((line) => line['epoch'])
  expect(`epochs installed: ${installed}`, `${installed}` === (epoch === 2 ? '1,2' : '1'))
  expect('created twice or never', of('created').length === 1)
  const released = of('released', 'renewed').map((line) => line['releaseId'])
  expect('a release twice in the audit', new Set(released).size === released.length)
  for (const id of confirmed('released'))
    expect(`release ${id} is not in the audit`, released.includes(id))
  expect(
    `${found.leases} have the share, of at most ${INSTANCES}`,
    found.leases.length <= INSTANCES,
  )
  const decided = of('approved').map((line) => `${line['id']} ${line['decidedAt']}`)
  expect('a decision twice in the audit', new Set(decided).size === decided.length)
  for (const one of confirmed('decided')) {
    expect('a decision is not in the audit', decided.includes(one))
    expect('a decision is not in force', found.decisions.includes(one))
  }
  for (const one of found.decisions) expect('a decision has no line', decided.includes(one))
  expect('withdrawn, or not', found.withdrawn === (scenario === 'withdraw'))
  expect('withdrawn twice or never', of('withdrawn').length === (scenario === 'withdraw' ? 1 : 0))
  const left = readdirSync(dir).filter((name) => /\.(tmp|old)$|\.next\./.test(name))
  expect(`left behind: ${left}`, left.length === 0)
  return faults
}

function judgeCeremony(folder: string, said: readonly string[]): string[] {
  const hashes = new Map(
    said.flatMap((line) => {
      const [, label, hash] = /^finished (\w+) (\w+)$/.exec(line) ?? []
      return label && hash ? [[label, hash] as const] : []
    }),
  )
  const all = new Set(
    said.filter((line) => line.startsWith('finished')).map((line) => line.split(' ')[2]),
  )
  if (hashes.size !== 2) return [`finished for ${[...hashes.keys()]}`]
  if (all.size !== 1) return [`${all.size} different descriptors`]
  return existsSync(join(folder, 'ann', 'descriptor.json')) ? [] : ['no descriptor.json']
}
