// What an audit of years costs a participant: opening its folder, and a look at the page, with 1,000 lines and
// with as many as are told. No measurement of bench/main.ts: it makes a gigabyte for each million lines.
//
//   npx tsx bench/audit.ts [lines]     10,000,000 unless told

import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type AuditHead,
  type ChainedLine,
  chained,
  lineAfter,
  prepareEntry,
} from '../src/consent/audit/chain.js'
import { CHECKPOINT_LINES, checkpointLines } from '../src/consent/audit/checkpoint.js'
import type { AuditEntry } from '../src/consent/audit/log.js'
import { segmentPath } from '../src/consent/audit/segments.js'
import { participantOfStore } from '../src/consent/participant/stored.js'
import { participantView } from '../src/consent/participant/web/participant-view.js'
import { openStore } from '../src/consent/store/open.js'
import { Stage } from './lib/consent-rounds.js'

const FEW = 1_000
const MANY = Number(process.argv[2] ?? 10_000_000)
/**
 * Of a look each; the medians count. Few: each look adds two lines, and past 1,024 the short audit would begin a new
 * segment, which opens in no time.
 */
const ROUNDS = 3

const text = (length: number) => 'x'.repeat(length)
/** What a participant has most of; its lease is over. */
const RENEWAL: AuditEntry = {
  ...{ type: 'renewed', role: 'client', kind: 'local', issuer: 'https://issuer.test' },
  ...{ instance: '1', project: 'local-project', zone: 'local', args: [], hardware: 'TEST' },
  imageDigest: `sha256:${'c1'.repeat(32)}`,
  ...{ releaseId: text(22), tokenHash: text(43), renewals: 7 },
  ...{ renewalHash: text(43), returnHash: text(43), leaseSeconds: 600 },
  ...{ releasedAt: 1_767_312_000_000, expiresAt: 1_767_312_600_000 },
}

/**
 * Writes segments as the participant would, each with its signed checkpoint. Between them all lines are one line
 * again, with its number and hash: making each anew would take an hour. That they are right is seen by
 * `mcbn participant audit`, which reads every one.
 */
async function filled(lines: number): Promise<Stage> {
  const stage = await Stage.make()
  const store = await openStore(stage.folder, { keyFile: readFileSync(stage.keyFile) })
  const { audit, keys, label, descriptor } = store
  const signer = { label, privateKey: keys.ed25519 }
  const standing = { withdrawn: false, descriptorHash: `${descriptor?.hashHex}` }
  let head = audit.head
  await store.close()
  const began = performance.now()
  const now = Date.now()
  const model = chained(lineAfter({ lines: 0, head: text(64) }, prepareEntry(RENEWAL, now)))
  const [start = '', rest = ''] = `${model.bytes}`.split(`"${text(64)}"`)
  const [middle = '', end = ''] = rest.split('"seq":1,')
  while (head.lines < lines) {
    const first = head.lines + 1
    const made = checkpointLines(head, { lines: [], standing }, signer, now)
    const written = made.map(({ bytes }) => bytes.toString())
    head = (made.at(-1) as ChainedLine).head
    const last = Math.min(lines, first + CHECKPOINT_LINES)
    while (head.lines < last) {
      const line: string = `${start}"${head.head}"${middle}"seq":${head.lines + 1},${end}`
      written.push(line)
      const hash = createHash('sha256').update(line.slice(0, -1)).digest('hex')
      head = { lines: head.lines + 1, head: hash } satisfies AuditHead
    }
    const path = segmentPath(join(stage.folder, 'audit.jsonl'), first)
    writeFileSync(path, written.join(''), { mode: 0o600 })
  }
  const seconds = (performance.now() - began) / 1000
  console.log(`${head.lines} lines made in ${seconds.toFixed(0)} s: ${stage.folder}`)
  return stage
}

async function looks(stage: Stage) {
  const lock = { keyFile: readFileSync(stage.keyFile) }
  const opening: number[] = []
  const page: number[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    const began = performance.now()
    const store = await openStore(stage.folder, lock)
    const participant = participantOfStore(store)
    opening.push(performance.now() - began)
    const view = participantView(participant, store.audit)
    const looked = performance.now()
    const { broken } = await view.audit(100)
    if (broken !== undefined) throw new Error(broken.reason)
    page.push(performance.now() - looked)
    await participant.close()
    await store.close()
  }
  return { opening: median(opening), page: median(page) }
}

function median(times: number[]): number {
  return times.sort((one, other) => one - other)[times.length >> 1] ?? Number.NaN
}

const few = await filled(FEW)
const many = await filled(MANY)
try {
  if (MANY <= 100_000) {
    const store = await openStore(many.folder, { keyFile: readFileSync(many.keyFile) })
    console.log(`verified: ${(await store.audit.verify()).lines} lines`)
    await store.close()
  }
  // In turns: what else the machine does falls on both.
  for (let turn = 0; turn < 3; turn += 1) {
    const [one, other] = [await looks(few), await looks(many)]
    for (const what of ['opening', 'page'] as const) {
      const ratio = (other[what] / one[what]).toFixed(2)
      console.log(
        `${what}: ${FEW} lines ${one[what].toFixed(1)} ms, ${MANY} lines ${other[what].toFixed(1)} ms, ${ratio} times`,
      )
    }
  }
} finally {
  few[Symbol.dispose]()
  many[Symbol.dispose]()
}
