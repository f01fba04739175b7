// A participant breaks the key generation: with an invalid package, or with sub-shares that do not
// fit it. The library's errors name nobody; ours name the one who signed it, and never an honest one.

import { describe, expect, it } from 'vitest'
import { toBase64url } from '../../../src/consent/base/base64url.js'
import {
  type DkgPackage,
  generatePolynomial,
  type Polynomial,
  subShareFor,
} from '../../../src/consent/ceremony/dkg.js'
import type { DkgBody } from '../../../src/consent/ceremony/messages.js'
import { sealSubShare } from '../../../src/consent/ceremony/sub-share.js'
import {
  cheat,
  deliver,
  everybody,
  exchange,
  failures,
  forge,
  keysOf,
  nobody,
  one,
  packageOf,
  perform,
  swapping,
  type Table,
  table,
} from '../ceremony/rehearsal.js'

const THRESHOLD = { t: 2, n: 3 }
/** Carol is third, by the order of labels. */
const CAROL = 3

function body({ identifier, commitment, proof }: DkgPackage): DkgBody {
  return {
    identifier,
    commitment: commitment.map(toBase64url),
    proof: toBase64url(proof),
  }
}

const good = () => body(generatePolynomial(CAROL, THRESHOLD).public)
const zeros = toBase64url(Buffer.alloc(32))
const ones = toBase64url(Buffer.alloc(32, 0xff))

const PACKAGES: readonly (readonly [string, RegExp, () => DkgBody])[] = [
  [
    'a higher degree',
    /degree 2, expected 1/,
    () => body(generatePolynomial(CAROL, { t: 3, n: 3 }).public),
  ],
  [
    'a lower degree',
    /degree 0, expected 1/,
    () => ({ ...good(), commitment: good().commitment.slice(0, 1) }),
  ],
  ['the identity as constant', /1 is the identity/, () => replaced(good(), 0, zeros)],
  ['the identity as coefficient', /2 is the identity/, () => replaced(good(), 1, zeros)],
  ['bytes that are no element', /2 is no ristretto255 element/, () => replaced(good(), 1, ones)],
  [
    "another polynomial's proof",
    /proof of knowledge is wrong/,
    () => ({ ...good(), proof: good().proof }),
  ],
  ['a proof of zeros', /proof of knowledge is wrong/, () => ({ ...good(), proof: zerosOf(64) })],
  [
    'a constant that it has no proof for',
    /proof of knowledge is wrong/,
    () => replaced(good(), 0, good().commitment[0] ?? ''),
  ],
  [
    "a proof for another's identifier",
    /proof of knowledge is wrong/,
    () => ({ ...body(generatePolynomial(1, THRESHOLD).public), identifier: CAROL }),
  ],
  [
    "another's identifier",
    /claims the identifier 1, expected 3/,
    () => body(generatePolynomial(1, THRESHOLD).public),
  ],
  [
    'an identifier beyond all',
    /claims the identifier 9, expected 3/,
    () => ({ ...good(), identifier: 9 }),
  ],
]

function replaced(from: DkgBody, at: number, point: string): DkgBody {
  return {
    ...from,
    commitment: from.commitment.map((other, index) => (index === at ? point : other)),
  }
}

function zerosOf(length: number): string {
  return toBase64url(Buffer.alloc(length))
}

/** Carol's messages with a polynomial that the test knows. */
async function carolWith(
  at: Table,
  polynomial: Polynomial,
  dealt: Readonly<Record<string, Buffer>>,
) {
  const way = (to: string) => ({ plan: at.plan, from: 'carol', to })
  const sealed = await Promise.all(
    Object.entries(dealt).map(async ([to, share]) => {
      const seal = await sealSubShare(way(to), keysOf(at, 'carol'), share)
      return [`seal-carol-to-${to}`, forge(at, 'carol', 'seal', seal, to)] as const
    }),
  )
  return { ...packageOf(at, 'carol', body(polynomial.public)), ...Object.fromEntries(sealed) }
}

/** Everybody but Carol, whose messages the tests write. */
function honestOnes(at: Table) {
  const all = everybody(at)
  return { all, honest: new Map([...all].filter(([label]) => label !== 'carol')) }
}

describe('attack 18: breaks the key generation', () => {
  it.each(PACKAGES)('shows %s: all others name carol', async (_what, why, make) => {
    const at = table('t-of-n', 3, 2)
    const { all } = honestOnes(at)
    const thrown = await failures(all, ['alice', 'bob'], swapping(packageOf(at, 'carol', make())))
    expect(thrown.get('alice')).toEqual(cheat('carol', why))
    expect(thrown.get('bob')).toEqual(cheat('carol', why))
  })

  it.each<readonly [string, (polynomial: Polynomial) => Buffer]>([
    [
      'a sub-share that is off by one',
      (polynomial) => offByOne(subShareFor(polynomial.coefficients, 2)),
    ],
    ["another's sub-share", (polynomial) => subShareFor(polynomial.coefficients, 1)],
    ['no scalar', () => Buffer.alloc(32, 0xff)],
    ['zero', () => Buffer.alloc(32)],
  ])('deals bob %s: bob names carol, shows it, and all are convinced', async (_what, wrong) => {
    const at = table('t-of-n', 4, 2)
    const polynomial = generatePolynomial(CAROL, { t: 2, n: 4 })
    const right = (identifier: number) => subShareFor(polynomial.coefficients, identifier)
    const { all } = honestOnes(at)
    const carrier = swapping(
      await carolWith(at, polynomial, { alice: right(1), bob: wrong(polynomial), dave: right(4) }),
    )
    const thrown = await failures(all, ['bob'], carrier)
    expect(thrown.get('bob')).toEqual(cheat('carol', /not on the polynomial/))
    for (const label of ['alice', 'dave']) {
      expect(thrown.get(label)).toBeUndefined()
      const complaint = complaintOf(all, 'bob')
      expect(() => one(all, label).accept('complaint-bob', complaint)).toThrow(
        cheat('carol', /as bob has shown/) as Error,
      )
    }
    await expect(one(all, 'bob').advance()).rejects.toEqual(cheat('carol', /bob has stopped/))
  })

  it('seals what cannot be opened: the receiver names carol, others learn that one of two is lying', async () => {
    const at = table('t-of-n', 3, 2)
    const { all } = honestOnes(at)
    const noise = { enc: toBase64url(Buffer.alloc(32, 9)), ciphertext: zerosOf(112) }
    const carrier = swapping({ 'seal-carol-to-bob': forge(at, 'carol', 'seal', noise, 'bob') })
    const thrown = await failures(all, ['bob'], carrier)
    expect(thrown.get('bob')).toEqual(cheat('carol', /no signed sub-share/))
    expect(() => one(all, 'alice').accept('complaint-bob', complaintOf(all, 'bob'))).toThrow(
      nobody(
        'MCBN_CEREMONY_DISAGREED',
        /bob has stopped and says that the seal of carol is wrong/,
      ) as Error,
    )
  })

  it("passes on dave's sub-share as its own: the signature inside is not carol's", async () => {
    const at = table('t-of-n', 4, 2)
    const { all } = honestOnes(at)
    const seal = await sealSubShare(
      { plan: at.plan, from: 'carol', to: 'bob' },
      keysOf(at, 'dave'),
      Buffer.alloc(32, 3),
    )
    const carrier = swapping({ 'seal-carol-to-bob': forge(at, 'carol', 'seal', seal, 'bob') })
    const thrown = await failures(all, ['bob'], carrier)
    expect(thrown.get('bob')).toEqual(cheat('carol', /no signed sub-share/))
  })

  it('accuses bob of a sub-share that bob never signed: all name carol', async () => {
    const at = table('t-of-n', 3, 2)
    const { all } = honestOnes(at)
    for (let round = 0; round < 2; round += 1) await exchange(all)
    const made = { share: toBase64url(Buffer.alloc(32, 5)), signature: zerosOf(64) }
    const complaint = { accused: 'bob', about: 'seal', opened: made } as const
    expect(() =>
      one(all, 'alice').accept('complaint-carol', forge(at, 'carol', 'complaint', complaint)),
    ).toThrow(cheat('carol', /has not signed/) as Error)
  })

  it('signs what no message may say: named at once, by every reader', () => {
    const at = table('t-of-n', 3, 2)
    const { all } = honestOnes(at)
    const bytes = forge(at, 'carol', 'commit', { package: 'short' })
    expect(() => one(all, 'alice').accept('commit-carol', bytes)).toThrow(
      cheat('carol', /signed a malformed commit/) as Error,
    )
  })

  it('signs a wrong descriptor signature: named by all', async () => {
    const at = table('t-of-n', 3, 2)
    const { all } = honestOnes(at)
    for (let round = 0; round < 4; round += 1) await exchange(all)
    const dh = JSON.parse(text(all, 'alice', 'sign-alice')).body.dh
    const signature = forge(at, 'carol', 'sign', { dh, signature: zerosOf(64) })
    const thrown = await failures(all, ['alice', 'bob'], swapping({ 'sign-carol': signature }))
    expect(thrown.get('alice')).toEqual(cheat('carol', /signature under the descriptor/))
    expect(thrown.get('bob')).toEqual(cheat('carol', /signature under the descriptor/))
  })

  it('is the operator instead, who alters messages: nobody is blamed, and the right ones still count', async () => {
    const at = table('t-of-n', 3, 2)
    const { all } = honestOnes(at)
    const alice = one(all, 'alice')
    for (let round = 0; round < 5; round += 1) {
      for (const { name, from } of alice.awaited()) {
        const sent = one(all, from)
          .outgoing()
          .find((message) => message.name === name)
        for (const altered of alterations(sent?.bytes ?? Buffer.alloc(0))) {
          expect(() => alice.accept(name, altered)).toThrow(
            nobody('MCBN_CEREMONY_INVALID', /./) as Error,
          )
        }
      }
      deliver(all, alice)
      await exchange(all)
    }
    expect((await perform(all)).size).toBe(3)
  })
})

/** Every field's first character becomes another one; and the message loses its end. */
function alterations(bytes: Uint8Array): Buffer[] {
  const message = Buffer.from(bytes).toString('utf8')
  const changed = [...message.matchAll(/":"(.)/g)].map(({ index }) => {
    const at = index + 3
    return `${message.slice(0, at)}${message[at] === 'A' ? 'B' : 'A'}${message.slice(at + 1)}`
  })
  return [...changed, message.slice(0, -1), ` ${message}`, ''].map((text) => Buffer.from(text))
}

function offByOne(share: Buffer): Buffer {
  const other = Buffer.from(share)
  other.writeUInt8(other.readUInt8(0) ^ 1, 0)
  return other
}

function complaintOf(all: ReturnType<typeof everybody>, label: string): Uint8Array {
  const sent = one(all, label).outgoing()
  const complaint = sent.find(({ name }) => name === `complaint-${label}`)
  if (complaint === undefined) throw new Error(`${label} has not complained`)
  return complaint.bytes
}

function text(all: ReturnType<typeof everybody>, label: string, name: string): string {
  const sent = one(all, label)
    .outgoing()
    .find((message) => message.name === name)
  return Buffer.from(sent?.bytes ?? []).toString('utf8')
}
