// What a crash must leave: nothing that was confirmed is missing, and nothing is there twice.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AuditLine } from '../../../src/consent/audit/log.js'
import { History } from '../../../src/consent/store/history.js'
import type { Scenario } from './matrix.js'
import { INSTANCES } from './world.js'

/** What `look` of a child has found. */
export interface Found {
  readonly epoch: number
  /** Of which epoch share and policy are. */
  readonly share: number
  readonly policy: number
  readonly withdrawn: boolean
  readonly decisions: readonly string[]
  readonly leases: readonly string[]
  readonly lines: number
}

/** @param audit - its lines, as text. @param said - what was confirmed. @returns faults. */
export function judgeStore(
  scenario: Scenario,
  audit: readonly string[],
  said: readonly string[],
  found: Found,
): string[] {
  const faults: string[] = []
  const expect = (what: string, right: boolean): void => void (right || faults.push(what))
  const lines = audit.map((line) => JSON.parse(line) as AuditLine)
  const of = (...events: string[]) => lines.filter(({ event }) => events.includes(event))
  const confirmed = (word: string) =>
    said.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1))
  const epoch = scenario === 'install' ? 2 : 1
  expect(
    `epoch ${found.epoch}, share of ${found.share}, policy of ${found.policy}`,
    found.epoch === epoch && found.share === epoch && found.policy === epoch,
  )
  expect(`${found.lines} lines, ${lines.length} of them read`, found.lines === lines.length)
  const installed = of('epoch-installed').map((line) => line['epoch'])
  expect(`epochs installed: ${installed}`, `${installed}` === (epoch === 2 ? '1,2' : '1'))
  expect('created twice or never', of('created').length === 1)
  const released = of('released', 'renewed').map((line) => line['releaseId'])
  expect('a release twice in the audit', new Set(released).size === released.length)
  for (const id of confirmed('released'))
    expect(`release ${id} is not in the audit`, released.includes(id))
  const most = mostLeases(lines)
  expect(`${most} had the share at once, of at most ${INSTANCES}`, most <= INSTANCES)
  const decided = of('approved').map((line) => `${line['id']} ${line['decidedAt']}`)
  expect('a decision twice in the audit', new Set(decided).size === decided.length)
  const inForce = found.decisions.map((decision) => decision.split(' '))
  for (const one of confirmed('decided')) {
    expect('a decision is not in the audit', decided.includes(one))
    const [id, decidedAt] = one.split(' ')
    const [now, second] = inForce.filter(([other]) => other === id)
    // Another process may have said yes again, later.
    const isKept = second === undefined && Number(now?.[1]) >= Number(decidedAt)
    expect('a decision is not in force, or twice', isKept)
  }
  for (const one of found.decisions) expect('a decision has no line', decided.includes(one))
  expect('withdrawn, or not', found.withdrawn === (scenario === 'withdraw'))
  expect('withdrawn twice or never', of('withdrawn').length === (scenario === 'withdraw' ? 1 : 0))
  return faults
}

/** Most leases at any line, as any process reads the lines. */
export function mostLeases(lines: readonly AuditLine[]): number {
  const history = new History()
  let most = 0
  for (const line of lines) {
    history.hear(line)
    most = Math.max(most, history.leases(Date.parse(line.time)).length)
  }
  return most
}

/** Files that a finished process has no use for. */
export function judgeFiles(dir: string): string[] {
  const left = readdirSync(dir).filter((name) => /\.(tmp|old)$|\.next\./.test(name))
  return left.length === 0 ? [] : [`left behind: ${left}`]
}

/** A folder whose participant is in the database. */
export function judgeMoved(dir: string): string[] {
  const secrets = join(dir, 'secrets.json')
  return [
    ...(existsSync(join(dir, 'moved')) ? [] : ['the folder is not marked as moved']),
    ...(existsSync(secrets) ? ['the sealed secrets are still in the folder'] : []),
  ]
}

export function judgeCeremony(folder: string, said: readonly string[]): string[] {
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

/** The audit of a folder. */
export function linesIn(dir: string): string[] {
  return readFileSync(join(dir, 'audit.jsonl'), 'utf8').trimEnd().split('\n')
}
