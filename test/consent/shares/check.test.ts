import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { checkReleasedShare } from '../../../src/consent/shares/check.js'
import { shareCommitment } from '../../../src/consent/shares/commitment.js'
import { InvalidShareError } from '../../../src/consent/shares/problem.js'
import { McbnError } from '../../../src/errors.js'
import { need, testNetwork } from '../network.js'
import { ORDER, scalarBytes, scalarOf } from '../spec.js'

const all = testNetwork()
const some = testNetwork({ labels: ['alice', 'bob', 'carol', 'dave'], t: 3 })

const blamed = (participant: string, problem: string, detail = '') =>
  expect.objectContaining({
    code: 'MCBN_SHARE_INVALID',
    participant,
    problem,
    message: expect.stringContaining(`share of ${participant}: ${problem}: ${detail}`),
  })

describe.each([
  ['n-of-n', all],
  ['t-of-n', some],
])('consent/shares: a released share, %s', (_, { verified, shares }) => {
  const share = need(shares, 'bob')

  it('is accepted for every participant, and left as it is', () => {
    for (const [label, own] of shares) {
      const before = Buffer.from(own)
      expect(() => checkReleasedShare(verified, label, own)).not.toThrow()
      expect(() => checkReleasedShare(verified, label, new Uint8Array(own))).not.toThrow()
      expect(own).toEqual(before)
    }
  })

  it.each([0, 1, 31, 33, 64])('is malformed with %i bytes', (length) => {
    expect(() => checkReleasedShare(verified, 'bob', Buffer.alloc(length, 1))).toThrow(
      blamed('bob', 'malformed', `expected 32 bytes, got ${length}`),
    )
  })

  it.each([
    ['hex text', share.toString('hex')],
    ['upper-case hex', share.toString('hex').toUpperCase()],
    ['text with a line end', `${share.toString('hex')}\n`],
    ['a list', [...share]],
    ['nothing', undefined],
  ])('is malformed as %s', (_, wrong) => {
    expect(() => checkReleasedShare(verified, 'bob', wrong as unknown as Uint8Array)).toThrow(
      blamed('bob', 'malformed', 'expected a Uint8Array'),
    )
  })

  it.each([0, 1, 255])('is degenerate with 32 bytes of %i', (byte) => {
    expect(() => checkReleasedShare(verified, 'bob', Buffer.alloc(32, byte))).toThrow(
      blamed('bob', 'degenerate', 'expected random bytes'),
    )
  })

  it("is not another participant's", () => {
    expect(() => checkReleasedShare(verified, 'bob', need(shares, 'alice'))).toThrow(
      blamed('bob', 'commitment-mismatch'),
    )
  })

  it('is not one with a single bit changed', () => {
    for (const at of [0, 13, 31]) {
      const altered = Buffer.from(share)
      altered[at] = (altered[at] ?? 0) ^ 1
      expect(() => checkReleasedShare(verified, 'bob', altered)).toThrow(
        blamed('bob', 'commitment-mismatch'),
      )
    }
  })

  it('is refused from a stranger, with their name but as no blame of a kind', () => {
    for (const label of ['mallory', 'constructor', '']) {
      const attempt = () => checkReleasedShare(verified, label, share)
      expect(attempt).toThrow(McbnError)
      expect(attempt).not.toThrow(InvalidShareError)
      expect(attempt).toThrow(
        expect.objectContaining({ code: 'MCBN_SHARE_INVALID', participant: label }),
      )
    }
  })

  it('never appears in an error', () => {
    const wrong = randomBytes(32)
    wrong[31] = 1
    try {
      checkReleasedShare(verified, 'bob', wrong)
      expect.unreachable()
    } catch (error) {
      const shown = JSON.stringify(error) + String((error as Error).stack)
      expect(shown).not.toContain(wrong.toString('hex'))
      expect(shown).not.toContain(wrong.toString('base64url'))
    }
  })
})

describe('consent/shares: a released share, n-of-n', () => {
  it('is not that of another epoch, network or label', () => {
    const { shares, keys } = all
    for (const fields of [{ epoch: 2 }, { network: 'another' }]) {
      const other = testNetwork({ keys, shares, fields })
      const { commitment } = need(
        new Map(other.descriptor.participants.map((one) => [one.label, one])),
        'bob',
      )
      expect(commitment).not.toBe(all.descriptor.participants[1]?.commitment)
    }
    const old = testNetwork({ keys, fields: { epoch: 2 } })
    expect(() => checkReleasedShare(all.verified, 'bob', need(old.shares, 'bob'))).toThrow(
      blamed('bob', 'commitment-mismatch'),
    )
  })
})

describe('consent/shares: a released share, t-of-n', () => {
  const share = need(some.shares, 'bob')

  it('has one encoding: s + L is malformed, and so is everything from L on', () => {
    const more = Buffer.from((scalarOf(share) + ORDER).toString(16).padStart(64, '0'), 'hex')
    const order = Buffer.from(ORDER.toString(16).padStart(64, '0'), 'hex')
    for (const bytes of [more.reverse(), order.reverse(), Buffer.alloc(32, 255).fill(1, 0, 1)]) {
      expect(() => checkReleasedShare(some.verified, 'bob', bytes)).toThrow(
        blamed('bob', 'malformed', "expected a scalar below the group's order"),
      )
    }
  })

  it('is not its negative, nor its double', () => {
    for (const scalar of [-scalarOf(share), 2n * scalarOf(share), scalarOf(share) + 1n]) {
      expect(() => checkReleasedShare(some.verified, 'bob', scalarBytes(scalar))).toThrow(
        blamed('bob', 'commitment-mismatch'),
      )
    }
  })

  it('is not that of the same place in another ceremony', () => {
    const other = testNetwork({ labels: [...some.keys.keys()], t: 3, keys: some.keys })
    expect(() => checkReleasedShare(some.verified, 'bob', need(other.shares, 'bob'))).toThrow(
      blamed('bob', 'commitment-mismatch'),
    )
  })
})

describe('consent/shares: commitments', () => {
  const input = { network: 'net', epoch: 1, label: 'bob', share: randomBytes(32) }

  it('are other ones for every network, epoch, label and share', () => {
    const all = [
      input,
      { ...input, network: 'net2' },
      { ...input, epoch: 2 },
      { ...input, label: 'carol' },
      { ...input, share: randomBytes(32) },
      { ...input, network: 'netb', label: 'ob' },
    ].map((one) => shareCommitment(one).toString('hex'))
    expect(new Set(all).size).toBe(6)
  })

  it('need 32 bytes', () => {
    expect(() => shareCommitment({ ...input, share: randomBytes(31) })).toThrow(
      expect.objectContaining({ code: 'MCBN_SHARE_INVALID', participant: 'bob' }),
    )
  })
})
