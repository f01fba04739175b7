import { ristretto255, ristretto255_FROST } from '@noble/curves/ed25519.js'
import { describe, expect, it } from 'vitest'
import { canonicalBytes } from '../../../src/consent/base/canonical.js'
import { generateParticipantKeys, publicKeys } from '../../../src/consent/base/keys.js'
import {
  createDescriptor,
  DESCRIPTOR_MAX_BYTES,
  descriptorBytes,
  descriptorHash,
  parseDescriptor,
} from '../../../src/consent/descriptor/descriptor.js'
import { decodeElement, verifyingShare } from '../../../src/consent/descriptor/group.js'
import { connectionIdentity } from '../../../src/consent/descriptor/identity.js'
import type { Descriptor, DescriptorParticipant } from '../../../src/consent/descriptor/types.js'
import { testNetwork } from '../network.js'

const { descriptor } = testNetwork()
const threshold = testNetwork({ t: 2 }).descriptor
const [alice, bob, carol] = descriptor.participants as [
  DescriptorParticipant,
  DescriptorParticipant,
  DescriptorParticipant,
]

/** Mutable JSON, as somebody else could have written it. */
// biome-ignore lint/suspicious/noExplicitAny: tests write what the types forbid
type Json = any
const json = (value: Descriptor): Json => JSON.parse(JSON.stringify(value))

function altered(change: (value: Json) => void, base = descriptor): Json {
  const value = json(base)
  change(value)
  return value
}

const invalid = (message: string, participant?: string) =>
  expect.objectContaining({
    code: 'MCBN_DESCRIPTOR_INVALID',
    kind: 'usage',
    message: expect.stringContaining(message),
    ...(participant !== undefined && { participant }),
  })

describe('consent/descriptor', () => {
  it('reads back its own canonical bytes, and what JSON.parse gives', () => {
    for (const one of [descriptor, threshold]) {
      expect(parseDescriptor(descriptorBytes(one))).toEqual(one)
      expect(parseDescriptor(json(one))).toEqual(one)
      expect(descriptorHash(parseDescriptor(json(one)))).toEqual(descriptorHash(one))
    }
  })

  it('is frozen, all the way down', () => {
    const read = parseDescriptor(json(descriptor))
    expect(() => {
      ;(read as Json).participants[0].label = 'mallory'
    }).toThrow(TypeError)
    expect(() => (read as Json).roles.client.images.push('x')).toThrow(TypeError)
  })

  it('does not share objects with what it was read from', () => {
    const source = json(descriptor)
    const read = parseDescriptor(source)
    source.participants[0].commitment = 'changed'
    source.roles.client.images[0] = 'changed'
    expect(read).toEqual(descriptor)
  })

  it('sorts participants and protocols, and fills in t and protocols, when it is made', () => {
    const { version, t, ...fields } = descriptor
    const { protocols, ...bare } = fields
    expect([version, t, protocols]).toEqual(['mcbn/1', 3, ['tls13', 'tls12', 'dtls12']])
    expect(createDescriptor({ ...bare, participants: [carol, alice, bob] })).toEqual(descriptor)
    expect(createDescriptor({ ...fields, protocols: ['dtls12', 'tls13'] }).protocols).toEqual([
      'tls13',
      'dtls12',
    ])
  })

  it('sorts nothing when it is read', () => {
    expect(() => parseDescriptor(altered((d) => d.participants.reverse()))).toThrow(
      invalid('sorted bytewise and unique'),
    )
    expect(() => parseDescriptor(altered((d) => d.protocols.reverse()))).toThrow(
      invalid('in this order'),
    )
  })

  it('has another hash for every change', () => {
    const changes: ((d: Json) => void)[] = [
      (d) => (d.network = 'test network 2'),
      (d) => (d.epoch = 2),
      (d) => (d.participants[0].label = 'aaron'),
      (d) => (d.participants[1].commitment = Buffer.alloc(32, 9).toString('base64url')),
      (d) => (d.roles.client.id = 'another'),
      (d) => d.roles.server.images.push(`sha256:${'0'.repeat(64)}`),
      (d) => d.protocols.pop(),
      (d) => (d.validity.notAfter += 1),
    ]
    const hashes = changes.map((change) =>
      descriptorHash(parseDescriptor(altered(change))).toString('hex'),
    )
    expect(new Set([...hashes, descriptorHash(descriptor).toString('hex')]).size).toBe(9)
  })

  it('takes up to 64 participants, two at least', () => {
    const many = Array.from({ length: 65 }, (_, at) => ({
      label: `p${String(at).padStart(2, '0')}`,
      ...publicKeys(generateParticipantKeys()),
      commitment: Buffer.alloc(32, at + 1).toString('base64url'),
    }))
    const { t, ...fields } = descriptor
    expect(t).toBe(3)
    expect(createDescriptor({ ...fields, participants: many.slice(0, 64) }).t).toBe(64)
    expect(createDescriptor({ ...fields, participants: many.slice(0, 2) }).t).toBe(2)
    for (const wrong of [many, many.slice(0, 1), []]) {
      expect(() => createDescriptor({ ...fields, participants: wrong })).toThrow(
        invalid('participants: expected a list of 2 to 64'),
      )
    }
  })
})

describe('consent/descriptor: refuses', () => {
  const same = (field: string) => (d: Json) => {
    d.participants[1][field] = d.participants[0][field]
  }
  const label = (value: unknown) => (d: Json) => {
    d.participants[0].label = value
  }
  const key = (field: string, hex: string) => (d: Json) => {
    d.participants[2][field] = Buffer.from(hex, 'hex').toString('base64url')
  }

  it.each<[string, (d: Json) => void, string, string?]>([
    ['another version', (d) => (d.version = 'mcbn/2'), 'version: expected mcbn/1'],
    ['a missing field', (d) => delete d.network, 'network: expected a value, got none'],
    ['an unknown field', (d) => (d.extra = 1), 'only the fields'],
    ['an unknown field of a participant', (d) => (d.participants[0].x = 1), 'participants[0]'],
    ['an unknown role', (d) => (d.roles.proxy = d.roles.client), 'roles: expected only'],
    ['a missing role', (d) => delete d.roles.server, 'roles.server: expected a value'],
    ['null', (d) => (d.roles = null), 'roles: expected an object, got null'],
    ['a list for an object', (d) => (d.validity = [1, 2]), 'validity: expected an object'],
    ['an object for a list', (d) => (d.protocols = { 0: 'tls13' }), 'protocols: expected a list'],
    ['an empty network', (d) => (d.network = ''), 'network: expected 1 to 255 bytes, got 0'],
    ['a long network', (d) => (d.network = 'ü'.repeat(128)), 'got 256'],
    ['a network not in NFC', (d) => (d.network = 'u\u0308'), 'normal form C'],
    ['a lone surrogate', (d) => (d.network = '\ud800'), 'normal form C'],
    ['a line end in a name', (d) => (d.roles.client.id = 'a\nb'), 'control characters'],
    ['a number as name', (d) => (d.network = 7), 'network: expected text'],
    ['a negative epoch', (d) => (d.epoch = -1), 'epoch: expected an integer from 0'],
    ['an epoch above u32', (d) => (d.epoch = 2 ** 32), 'epoch: expected an integer'],
    ['a fractional epoch', (d) => (d.epoch = 1.5), 'epoch: expected an integer'],
    ['text as epoch', (d) => (d.epoch = '1'), 'epoch: expected an integer'],
    ['another mode', (d) => (d.mode = '1-of-n'), 'mode: expected n-of-n or t-of-n'],
    ['t below n for n-of-n', (d) => (d.t = 2), 't: expected an integer from 3 to 3'],
    ['t above n', (d) => (d.t = 4), 't: expected an integer from 3 to 3'],
    ['a group for n-of-n', (d) => (d.group = []), 'group: expected none'],
    ['a label twice', same('label'), 'sorted bytewise and unique'],
    ["somebody's Ed25519 key twice", same('ed25519'), 'got that of alice', 'bob'],
    ["somebody's X25519 key twice", same('x25519'), 'got that of alice', 'bob'],
    ["somebody's commitment twice", same('commitment'), 'got that of alice', 'bob'],
    ['an upper-case label', label('Alice'), 'label: expected a label'],
    ['an empty label', label(''), 'label: expected a label'],
    ['a label of 64', label('a'.repeat(64)), 'label: expected a label'],
    ['a label starting with a dot', label('.a'), 'label: expected a label'],
    ['a label with a line end', label('alice\n'), 'label: expected a label'],
    ['__proto__ as label', label('__proto__'), 'label: expected a label'],
    ['a list as label', label(['alice']), 'label: expected a label'],
    ['a short key', key('ed25519', '01'), 'ed25519: expected base64url of 32 bytes'],
    ['an Ed25519 key of low order', key('ed25519', `01${'00'.repeat(31)}`), 'low order', 'carol'],
    ['an X25519 key of low order', key('x25519', `01${'00'.repeat(31)}`), 'low order', 'carol'],
    ['an X25519 key of zero', key('x25519', '00'.repeat(32)), 'low order', 'carol'],
    ['an X25519 key not canonical', key('x25519', 'ff'.repeat(32)), 'canonical', 'carol'],
    ['no image', (d) => (d.roles.client.images = []), 'images: expected a list of 1'],
    ['a tag', (d) => (d.roles.client.images = ['app:latest']), 'images[0]: expected an image'],
    [
      'an upper-case digest',
      (d) => (d.roles.client.images = [`sha256:${'A'.repeat(64)}`]),
      'lower-case',
    ],
    ['an image twice', (d) => d.roles.client.images.push(d.roles.client.images[0]), 'unique'],
    [
      'one id for both roles, which would let a client meet itself',
      (d) => (d.roles.server.id = d.roles.client.id),
      "roles.server: expected an id other than the client's",
    ],
    ['no protocol', (d) => (d.protocols = []), 'protocols: expected a list of 1 to 3'],
    ['a protocol twice', (d) => (d.protocols = ['tls13', 'tls13']), 'each once'],
    ['an unknown protocol', (d) => (d.protocols = ['kcv']), 'protocols[0]: expected tls13'],
    ['a validity of nothing', (d) => (d.validity.notAfter = d.validity.notBefore), 'after'],
    ['a validity backwards', (d) => (d.validity.notAfter = 1), 'after notBefore'],
    ['a time in milliseconds', (d) => (d.validity.notAfter = 4_102_444_800_000), 'an integer'],
  ])('%s', (_, change, message, participant) => {
    expect(() => parseDescriptor(altered(change))).toThrow(invalid(message, participant))
  })

  it.each([null, undefined, 7, 'text', [], true, {}])('%s as a whole', (value) => {
    expect(() => parseDescriptor(value)).toThrow(invalid('descriptor'))
  })

  it('__proto__ as a field, and pollutes nothing', () => {
    const text = JSON.stringify(descriptor).replace('{', '{"__proto__":{"polluted":1},')
    expect(() => parseDescriptor(JSON.parse(text))).toThrow(invalid('only the fields'))
    expect(({} as Json).polluted).toBeUndefined()
  })

  it('fields that are only inherited', () => {
    expect(() => parseDescriptor(Object.create(json(descriptor)))).toThrow(invalid('got none'))
  })

  it('bytes that are not canonical', () => {
    const text = JSON.stringify(json(descriptor), null, 1)
    expect(() => parseDescriptor(Buffer.from(text))).toThrow(invalid('canonical JSON'))
    expect(() => parseDescriptor(Buffer.from([0xff]))).toThrow(invalid('UTF-8'))
    expect(() => parseDescriptor(canonicalBytes({ a: 'x'.repeat(DESCRIPTOR_MAX_BYTES) }))).toThrow(
      invalid(`at most ${DESCRIPTOR_MAX_BYTES}`),
    )
  })

  it('what createDescriptor is given wrongly, with the same errors', () => {
    const { t, ...fields } = descriptor
    expect(t).toBe(3)
    for (const participants of [undefined, null, {}, [null, undefined]] as Json[]) {
      expect(() => createDescriptor({ ...fields, participants })).toThrow(invalid('participants'))
    }
    expect(() => createDescriptor({ ...fields, protocols: 'tls13' as Json })).toThrow(
      invalid('protocols'),
    )
    const { t: needed, ...bare } = threshold
    expect(needed).toBe(2)
    expect(() => createDescriptor(bare)).toThrow(invalid('.t: expected a value'))
  })
})

describe('consent/descriptor: t-of-n', () => {
  const identity = Buffer.alloc(32).toString('base64url')

  it.each<[string, (d: Json) => void, string, string?]>([
    ['no group', (d) => delete d.group, 'group: expected the commitments'],
    ['t of 1', (d) => (d.t = 1), 't: expected an integer from 2 to 3'],
    ['another t than the degree', (d) => (d.t = 3), 'group: expected a list of 3 to 3'],
    ['too many commitments', (d) => d.group.push(d.group[0]), 'group: expected a list of 2'],
    ['the identity as group key', (d) => (d.group[0] = identity), 'not the identity'],
    ['the identity as leading commitment', (d) => (d.group[1] = identity), 'not the identity'],
    [
      'bytes that are no element',
      (d) => (d.group[0] = Buffer.alloc(32, 255).toString('base64url')),
      'ristretto255 element',
    ],
    ['another group key', (d) => (d.group[0] = d.group[1]), "group's verifying share", 'alice'],
    [
      'verifying shares that are swapped',
      (d) => {
        const [one, two] = d.participants
        ;[one.commitment, two.commitment] = [two.commitment, one.commitment]
      },
      "participants[0].commitment: expected the group's verifying share at 1",
      'alice',
    ],
    [
      'a verifying share that is the identity',
      (d) => (d.participants[1].commitment = identity),
      "group's verifying share",
      'bob',
    ],
  ])('refuses %s', (_, change, message, participant) => {
    expect(() => parseDescriptor(altered(change, threshold))).toThrow(invalid(message, participant))
  })

  it('takes t from 2 to n', () => {
    for (const t of [2, 3, 4, 5]) {
      const made = testNetwork({ labels: ['a', 'b', 'c', 'd', 'e'], t }).descriptor
      expect(made.t).toBe(t)
      expect(made.group).toHaveLength(t)
    }
  })

  // RFC 9496 appendix A.1: multiples of the generator.
  const multiples = [
    '0000000000000000000000000000000000000000000000000000000000000000',
    'e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76',
    '6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919',
    '94741f5d5d52755ece4f23f044ee27d5d1ea1e2bd196b462166b16152a9d0259',
    'da80862773358b466ffadfe0b3293ab3d9fd53c5ea6c955358f568322daf6a57',
    'e882b131016b52c1d3337080187cf768423efccbb517bb495ab812c4160ff44e',
    'f64746d3c92b13050ed8d80236a7f0007c3b3f962f5ba793d19a601ebb1df403',
    '44f53520926ec81fbd5a387845beb7df85a96a24ece18738bdcfa6a7822a176d',
  ].map((text) => Buffer.from(text, 'hex').toString('base64url'))

  it('evaluates f(x) = 1 + 2x in the exponent (multiples of RFC 9496 appendix A.1)', () => {
    const group = [multiples[1], multiples[2]].map((text) => decodeElement(`${text}`))
    expect(decodeElement(`${multiples[0]}`)).toBeUndefined()
    for (const [position, multiple] of [3, 5, 7].entries()) {
      const share = verifyingShare(
        group.filter((element) => element !== undefined),
        position,
      )
      expect(Buffer.from(share.toBytes()).toString('base64url')).toBe(multiples[multiple])
    }
  })

  it.each([
    // RFC 9496 appendix A.2: not canonical, negative, not square, negative x*y, s = -1.
    '00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
    'f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    '0100000000000000000000000000000000000000000000000000000000000000',
    '26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371',
    '3eb858e78f5a7254d8c9731174a94f76755fd3941c0ac93735c07ba14579630e',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  ])('refuses the bad encoding %s (RFC 9496 appendix A.2)', (text) => {
    expect(decodeElement(Buffer.from(text, 'hex').toString('base64url'))).toBeUndefined()
  })

  it("agrees with the library's dealer for 64 participants", () => {
    const dealt = ristretto255_FROST.trustedDealer({ min: 5, max: 64 })
    const group = dealt.public.commitments.map((bytes) => ristretto255.Point.fromBytes(bytes))
    for (const position of [0, 1, 31, 63]) {
      const id = ristretto255_FROST.Identifier.fromNumber(position + 1)
      expect(Buffer.from(verifyingShare(group, position).toBytes())).toEqual(
        Buffer.from(dealt.public.verifyingShares[id] ?? []),
      )
    }
  })
})

describe('consent/descriptor: identity', () => {
  it('is opaque, and another one for every hash, client and server', () => {
    const one = Buffer.alloc(32, 1)
    const all = [
      connectionIdentity(one, 'a', 'b'),
      connectionIdentity(Buffer.alloc(32, 2), 'a', 'b'),
      connectionIdentity(one, 'b', 'a'),
      connectionIdentity(one, 'ab', ''),
      connectionIdentity(one, '', 'ab'),
    ]
    expect(new Set(all).size).toBe(5)
    for (const identity of all) expect(identity).toMatch(/^mcbn1\.[A-Za-z0-9_-]{22}$/)
  })
})
