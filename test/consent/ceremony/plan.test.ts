import { describe, expect, it } from 'vitest'
import { generateParticipantKeys, publicKeys } from '../../../src/consent/base/keys.js'
import { createPlan, parsePlan, planBytes } from '../../../src/consent/ceremony/plan.js'
import { nobody, table } from './rehearsal.js'

const { plan } = table('t-of-n', 3, 2)
type Json = Record<string, unknown>

/** The plan's document with a change, as bytes somebody else wrote. */
function altered(change: (document: Json) => void): Buffer {
  const document = JSON.parse(planBytes(plan).toString('utf8')) as Json
  change(document)
  return Buffer.from(JSON.stringify(document))
}

describe('ceremony/plan', () => {
  it('reads what it writes, with or without a line end', () => {
    expect(parsePlan(planBytes(plan)).hashHex).toBe(plan.hashHex)
    expect(parsePlan(Buffer.concat([planBytes(plan), Buffer.from('\n')])).document).toEqual(
      plan.document,
    )
  })

  it('is another plan each time, with another hash: messages of one never fit the next', () => {
    const { version: _, ceremony, ...fields } = plan.document
    const again = createPlan(fields)
    expect(again.document.ceremony).not.toBe(ceremony)
    expect(again.hashHex).not.toBe(plan.hashHex)
  })

  it.each<readonly [string, (document: Json) => void, RegExp]>([
    ['a field more', (document) => (document['x'] = 1), /only the fields|canonical/],
    ['no threshold', (document) => delete document['t'], /plan\.t: expected a value/],
    [
      'a threshold of one',
      (document) => (document['t'] = 1),
      /plan\.t: expected an integer from 2 to 3/,
    ],
    ['a threshold beyond all', (document) => (document['t'] = 4), /plan\.t/],
    ['fewer than all for n of n', (document) => (document['mode'] = 'n-of-n'), /plan\.t: .*3/],
    ['another version', (document) => (document['version'] = 'mcbn/2'), /plan\.version/],
    ['a short ceremony', (document) => (document['ceremony'] = 'AA'), /plan\.ceremony/],
    ['one participant', (document) => (document['participants'] = []), /plan\.participants/],
    [
      'a tag for a digest',
      (document) => ((document['roles'] as { client: Json }).client['images'] = ['x:latest']),
      /plan\.roles\.client\.images/,
    ],
  ])('refuses %s', (_what, change, why) => {
    expect(() => parsePlan(altered(change))).toThrow(nobody('MCBN_CEREMONY_INVALID', why) as Error)
  })

  it('refuses what is not canonical, too long, or no JSON', () => {
    for (const [bytes, why] of [
      [Buffer.from(JSON.stringify(plan.document, undefined, 1)), /canonical/],
      [Buffer.alloc(128 * 1024 + 1, 32), /at most 131072 bytes/],
      [Buffer.from('{'), /JSON/],
    ] as const) {
      expect(() => parsePlan(bytes)).toThrow(nobody('MCBN_CEREMONY_INVALID', why) as Error)
    }
  })

  it('refuses labels that would make two messages one file', () => {
    const { version: _, ceremony: __, ...fields } = plan.document
    const participants = ['x', 'x-to-y'].map((label) => ({
      label,
      ...publicKeys(generateParticipantKeys()),
    }))
    expect(() => createPlan({ ...fields, participants })).toThrow(
      nobody('MCBN_CEREMONY_INVALID', /without "-to-", got x-to-y/) as Error,
    )
  })

  it('refuses the same keys twice', () => {
    const { version: _, ceremony: __, ...fields } = plan.document
    const [alice, bob] = fields.participants
    const participants = [alice, { ...bob, ed25519: alice?.ed25519 }] as typeof fields.participants
    expect(() => createPlan({ ...fields, participants })).toThrow(/plan.*own/)
  })
})
