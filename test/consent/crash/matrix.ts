// The matrix of crashes: real processes, killed by SIGKILL at points that a seed chooses, and started again
// as an operator would. Afterwards nothing that was confirmed is missing, and nothing is there twice.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'
import { findAddon } from '../../../src/native/find.js'
import { seeded } from '../../support/random.js'
import { Databases } from './databases.js'
import { type Found, judgeCeremony, judgeFiles, judgeMoved, judgeStore, linesIn } from './judge.js'
import { makeWorld } from './world.js'

export const SCENARIOS = {
  folder: ['init', 'install', 'serve', 'withdraw', 'ceremony'],
  postgres: ['init', 'install', 'serve', 'withdraw', 'move'],
} as const
export type StoreKind = keyof typeof SCENARIOS
export type Scenario = (typeof SCENARIOS)[StoreKind][number]

export interface MatrixOptions {
  readonly kills: number
  readonly seed: number
  /** Where participants are kept. @defaultValue `folder` */
  readonly store?: StoreKind
  /** One scenario alone. @defaultValue all that there are for the store */
  readonly only?: string
  readonly onKill?: (told: string) => void
}

export interface MatrixResult {
  /** Processes that were killed, by scenario. */
  readonly kills: Readonly<Partial<Record<Scenario, number>>>
  /** What was lost, doubled or left; empty is what is hoped for. */
  readonly faults: readonly string[]
}

const MOMENTS = ['before', 'middle', 'after'] as const
/** Kills in a row before a process is let live. */
const MOST_IN_A_ROW = 3
/** Milliseconds for a process that does a second's work, on a machine that has much else to do. */
const PATIENCE = 60_000

interface Ran {
  readonly lines: readonly string[]
  readonly killed: boolean
  readonly report: string
}

/** Where one trial's participant is. */
interface Place {
  readonly folder: string
  /** Absent: in the folder. */
  readonly database?: string
}

/**
 * Runs the matrix. Removes all that it made.
 *
 * @throws {Error} where no PostgreSQL is installed and the store is to be one.
 */
export async function runMatrix(options: MatrixOptions): Promise<MatrixResult> {
  const parent = mkdtempSync(join(tmpdir(), 'mcbn-crash-'))
  let databases: Databases | undefined
  try {
    if (options.store === 'postgres') databases = await Databases.start()
    return await new Matrix(parent, databases, options).run()
  } finally {
    await databases?.stop()
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
  readonly #databases: Databases | undefined
  readonly #options: MatrixOptions
  readonly #scenarios: readonly Scenario[]
  readonly #random: ReturnType<typeof seeded>
  readonly #kills = new Map<Scenario, number>()
  readonly #faults: string[] = []
  readonly #operations = new Map<Scenario, number>()

  constructor(parent: string, databases: Databases | undefined, options: MatrixOptions) {
    this.#parent = parent
    this.#databases = databases
    this.#options = options
    const { store = 'folder', only } = options
    const all: readonly Scenario[] = SCENARIOS[store]
    this.#scenarios = only === undefined ? all : all.filter((scenario) => scenario === only)
    if (this.#scenarios.length === 0) throw new Error(`expected one of ${all.join(', ')}`)
    this.#random = seeded(options.seed)
  }

  async run(): Promise<MatrixResult> {
    bundleChild(this.#parent)
    const world = await makeWorld(randomBytes(32).toString('hex'))
    writeFileSync(join(this.#parent, 'world.json'), JSON.stringify(world), { mode: 0o600 })
    await this.#prepare()
    for (let trial = 0; this.#total() < this.#options.kills; trial += 1) {
      const scenario = this.#scenarios[trial % this.#scenarios.length] as Scenario
      const place = await this.#place(scenario, `trial_${trial}`)
      await this.#trial(scenario, place)
      await this.#remove(place)
    }
    return { kills: Object.fromEntries(this.#kills), faults: this.#faults }
  }

  /** A participant at epoch 1 in folder and database, and how many operations each scenario has. */
  async #prepare(): Promise<void> {
    const base = { folder: join(this.#parent, 'base') }
    mkdirSync(join(base.folder, 'shared'), { recursive: true })
    await this.#measure('init', base)
    if (this.#databases !== undefined) {
      await this.#measure('init', await this.#place('init', 'base'))
    }
    for (const scenario of this.#scenarios) {
      const place = await this.#place(scenario, `measured_${scenario}`)
      await this.#measure(scenario, place)
      await this.#remove(place)
    }
  }

  /** What a scenario begins with. */
  async #place(scenario: Scenario, name: string): Promise<Place> {
    const folder = join(this.#parent, name)
    if (this.#databases === undefined) {
      if (scenario === 'init' || scenario === 'ceremony')
        mkdirSync(join(folder, 'shared'), { recursive: true })
      else cpSync(join(this.#parent, 'base'), folder, { recursive: true })
      return { folder }
    }
    if (scenario === 'move') cpSync(join(this.#parent, 'base'), folder, { recursive: true })
    const isEmpty = scenario === 'init' || scenario === 'move'
    return { folder, database: await this.#databases.create(name, isEmpty ? undefined : 'base') }
  }

  async #remove({ folder, database }: Place): Promise<void> {
    rmSync(folder, { recursive: true, force: true })
    if (database !== undefined) await this.#databases?.drop(database)
  }

  async #measure(scenario: Scenario, place: Place): Promise<void> {
    const { lines, report } = await this.#start(scenario, place)
    const done = /^done (\d+)$/.exec(lines.at(-1) ?? '')
    if (done === null) throw new Error(`${scenario} does not even end when it is let: ${report}`)
    this.#operations.set(scenario, Number(done[1]))
  }

  /** Kills, starts again, kills again; at last lets it end, and looks. */
  async #trial(scenario: Scenario, place: Place): Promise<void> {
    const said: string[] = []
    const times = 1 + Math.floor(this.#random() * MOST_IN_A_ROW)
    const points: string[] = []
    const demandDone = ({ lines, report }: Ran): void => {
      said.push(...lines)
      if (!lines.at(-1)?.startsWith('done')) this.#fault(scenario, points, report)
    }
    for (let at = 0; at < times; at += 1) {
      const most = this.#operations.get(scenario) ?? 1
      const operation = 1 + Math.floor(this.#random() * most)
      const moment = MOMENTS[Math.floor(this.#random() * MOMENTS.length)] ?? 'after'
      points.push(`${operation} ${moment}`)
      const killed = this.#start(scenario, place, operation, moment)
      // A second replica, which lives, at the same time: it must reach its end whatever happens to the first.
      const isShared = scenario === 'serve' && place.database !== undefined
      const living = isShared ? this.#start(scenario, place) : undefined
      const one = await killed
      if (living !== undefined) demandDone(await living)
      if (!one.killed) demandDone(one)
      else {
        said.push(...one.lines)
        this.#kills.set(scenario, (this.#kills.get(scenario) ?? 0) + 1)
      }
    }
    this.#options.onKill?.(`${this.#total()} kills, ${scenario} at ${points.join(', ')}`)
    demandDone(await this.#start(scenario, place))
    for (const fault of await this.#judge(scenario, place, said)) {
      this.#fault(scenario, points, fault)
    }
  }

  async #start(
    scenario: string,
    { folder, database }: Place,
    operation = 0,
    moment: string = 'after',
  ): Promise<Ran> {
    const child = spawn(
      process.execPath,
      [
        join(this.#parent, 'child.cjs'),
        ...[scenario, folder, join(this.#parent, 'world.json'), `${operation}`, moment],
        ...(database === undefined ? [] : [database]),
      ],
      {
        env: { ...process.env, MCBN_ADDON: `${findAddon()}` },
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: PATIENCE,
      },
    )
    let [stdout, stderr] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    await once(child, 'close')
    const lines = stdout.split('\n').filter((line) => line !== '')
    return { lines, killed: child.signalCode === 'SIGKILL', report: stderr.slice(-600) }
  }

  async #judge(scenario: Scenario, place: Place, said: readonly string[]): Promise<string[]> {
    if (scenario === 'ceremony') return judgeCeremony(place.folder, said)
    const { lines, report } = await this.#start('look', place)
    const found = lines.find((line) => line.startsWith('state '))
    if (found === undefined) return [`what is kept does not open: ${report}`]
    const dir = join(place.folder, 'alice')
    const isFolder = place.database === undefined
    const audit = isFolder
      ? linesIn(dir)
      : lines.filter((line) => line.startsWith('line ')).map((line) => line.slice(5))
    return [
      ...judgeStore(scenario, audit, said, JSON.parse(found.slice(6)) as Found),
      ...(isFolder ? judgeFiles(dir) : []),
      ...(scenario === 'move' ? [...judgeFiles(dir), ...judgeMoved(dir)] : []),
    ]
  }

  #fault(scenario: Scenario, points: readonly string[], what: string): void {
    this.#faults.push(`${scenario}, killed at ${points.join(', ')}: ${what}`)
  }

  #total(): number {
    return [...this.#kills.values()].reduce((sum, count) => sum + count, 0)
  }
}
