import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { generateParticipantKeys } from '../../../src/consent/base/keys.js'
import { descriptorHash } from '../../../src/consent/descriptor/descriptor.js'
import {
  addSignature,
  parseSignedDescriptor,
  signDescriptor,
  VerifiedDescriptor,
  verifySignedDescriptor,
} from '../../../src/consent/descriptor/signed.js'
import type { SignedDescriptor } from '../../../src/consent/descriptor/types.js'
import { need, signByAll, testNetwork } from '../network.js'

const network = testNetwork()
const { descriptor, signed, keys } = network

const invalid = (message: string, participant?: string) =>
  expect.objectContaining({
    code: 'MCBN_DESCRIPTOR_INVALID',
    message: expect.stringContaining(message),
    ...(participant !== undefined && { participant }),
  })

const withSignatures = (signatures: Readonly<Record<string, string>>): SignedDescriptor => ({
  descriptor,
  signatures,
})

describe('consent/descriptor: signed', () => {
  it('verifies as object, text and bytes', () => {
    const text = JSON.stringify(signed, null, 2)
    for (const source of [signed, text, Buffer.from(text), new TextEncoder().encode(text)]) {
      const verified = verifySignedDescriptor(source)
      expect(verified.descriptor).toEqual(descriptor)
      expect(verified.hash).toEqual(descriptorHash(descriptor))
      expect(verified.hashHex).toBe(verified.hash.toString('hex'))
    }
  })

  it('does not depend on the order in which people sign', () => {
    let other: SignedDescriptor = { descriptor, signatures: {} }
    for (const label of ['carol', 'alice', 'bob']) {
      other = addSignature(other, label, signDescriptor(descriptor, label, need(keys, label)))
    }
    expect(JSON.stringify(other)).toBe(JSON.stringify(signed))
  })

  it('pins the hash that it is told', () => {
    const { hash } = network.verified
    expect(verifySignedDescriptor(signed, { descriptorHash: hash }).hash).toEqual(hash)
    const other = testNetwork({ keys })
    expect(() => verifySignedDescriptor(other.signed, { descriptorHash: hash })).toThrow(
      invalid(`expected hash ${hash.toString('hex')}`),
    )
    for (const wrong of [hash.subarray(1), Buffer.alloc(0), hash.toString('hex')]) {
      expect(() => verifySignedDescriptor(signed, { descriptorHash: wrong as Uint8Array })).toThrow(
        expect.objectContaining({ code: 'MCBN_OPTION_RANGE' }),
      )
    }
  })

  it('finds participants by label and position', () => {
    const { verified } = network
    expect(verified.participant('bob')).toEqual(descriptor.participants[1])
    expect(verified.position('carol')).toBe(2)
    for (const stranger of ['mallory', 'constructor', '__proto__', '']) {
      expect(verified.participant(stranger)).toBeUndefined()
      expect(verified.position(stranger)).toBe(-1)
    }
  })

  it('hands out copies of the hash and nothing that can be changed', () => {
    const { verified } = network
    verified.hash.fill(0)
    expect(verified.hash).toEqual(descriptorHash(descriptor))
    expect(Object.isFrozen(verified)).toBe(true)
    expect(Object.isFrozen(verified.descriptor.participants)).toBe(true)
    expect(inspect(verified)).toContain(verified.hashHex)
  })

  it('is made by verification alone', () => {
    const Constructor = VerifiedDescriptor as unknown as new (...args: unknown[]) => unknown
    expect(() => new Constructor(Symbol('signatures verified'), signed, Buffer.alloc(32))).toThrow(
      expect.objectContaining({ code: 'MCBN_OPTION_TYPE' }),
    )
  })

  it('lets somebody be called constructor', () => {
    const odd = testNetwork({ labels: ['constructor', 'tostring', '0'] })
    expect(
      verifySignedDescriptor(JSON.stringify(odd.signed)).participant('constructor'),
    ).toBeDefined()
    const { constructor: removed, ...rest } = odd.signed.signatures
    expect(removed).toHaveLength(86)
    expect(() => verifySignedDescriptor({ descriptor: odd.descriptor, signatures: rest })).toThrow(
      invalid('expected a signature, got none', 'constructor'),
    )
  })
})

describe('consent/descriptor: signatures', () => {
  const { bob, ...withoutBob } = signed.signatures

  it('of everybody are needed', () => {
    expect(() => verifySignedDescriptor(withSignatures(withoutBob))).toThrow(
      invalid('expected a signature, got none', 'bob'),
    )
    expect(() => verifySignedDescriptor(withSignatures({}))).toThrow(invalid('got none', 'alice'))
  })

  it('of anybody else are refused', () => {
    const signatures = { ...signed.signatures, mallory: `${bob}` }
    expect(() => verifySignedDescriptor(withSignatures(signatures))).toThrow(
      invalid('got one of somebody else', 'mallory'),
    )
  })

  it("are not one another's", () => {
    const signatures = { ...signed.signatures, bob: `${signed.signatures['alice']}` }
    expect(() => verifySignedDescriptor(withSignatures(signatures))).toThrow(
      invalid('exactly this descriptor', 'bob'),
    )
  })

  it('are good for this very descriptor only', () => {
    const next = testNetwork({ keys, fields: { epoch: 2 } })
    expect(() =>
      verifySignedDescriptor({ descriptor: next.descriptor, signatures: signed.signatures }),
    ).toThrow(invalid('exactly this descriptor', 'alice'))
  })

  it('do not survive a swapped key: the operator cannot put in their own', () => {
    const mallory = generateParticipantKeys()
    const forgedKeys = new Map([...keys, ['bob', mallory]])
    const forged = testNetwork({ keys: forgedKeys })
    const mixed = { ...forged.signed.signatures, alice: `${signed.signatures['alice']}` }
    expect(() =>
      verifySignedDescriptor({ descriptor: forged.descriptor, signatures: mixed }),
    ).toThrow(invalid('exactly this descriptor', 'alice'))
  })

  it('are made only with the keys that are listed, by somebody who is', () => {
    const stranger = generateParticipantKeys()
    expect(() => signDescriptor(descriptor, 'bob', stranger)).toThrow(invalid('got others', 'bob'))
    expect(() =>
      signDescriptor(descriptor, 'bob', { ...need(keys, 'bob'), x25519: stranger.x25519 }),
    ).toThrow(invalid('got others', 'bob'))
    expect(() => signDescriptor(descriptor, 'mallory', stranger)).toThrow(
      invalid('nobody of this label', 'mallory'),
    )
  })

  it('are added only when they verify, to a document that stays as it is', () => {
    const start = withSignatures(withoutBob)
    expect(() => addSignature(start, 'bob', `${signed.signatures['alice']}`)).toThrow(
      invalid('exactly this descriptor', 'bob'),
    )
    expect(() => addSignature(start, 'mallory', `${bob}`)).toThrow(invalid('nobody', 'mallory'))
    expect(() => addSignature(start, 'bob', '')).toThrow(invalid('exactly this', 'bob'))
    expect(addSignature(start, 'bob', `${bob}`)).toEqual(signed)
    expect(Object.keys(start.signatures)).toEqual(['alice', 'carol'])
    expect(signByAll(descriptor, keys)).toEqual(signed)
  })
})

describe('consent/descriptor: the file', () => {
  it('may miss signatures while they are being collected', () => {
    expect(parseSignedDescriptor({ descriptor, signatures: {} }).signatures).toEqual({})
  })

  it('holds at most 256 KiB', () => {
    const text = JSON.stringify(signed)
    const most = 256 * 1024
    expect(parseSignedDescriptor(text.padEnd(most, ' '))).toEqual(signed)
    for (const source of [text.padEnd(most + 1, ' '), Buffer.from(text.padEnd(most + 1, ' '))]) {
      expect(() => parseSignedDescriptor(source)).toThrow(invalid('at most 262144 bytes'))
    }
  })

  it.each<[string, unknown, string]>([
    ['nothing', '', 'expected JSON'],
    ['half a document', '{"descriptor":', 'expected JSON'],
    ['bytes that are not UTF-8', Buffer.from([0x22, 0xff, 0x22]), 'expected JSON in UTF-8'],
    ['null', 'null', 'expected an object, got null'],
    ['a list', '[]', 'expected an object, got a list'],
    ['no signatures', { descriptor }, 'signatures: expected a value'],
    ['no descriptor', { signatures: {} }, 'descriptor: expected a value'],
    ['another field', { ...signed, extra: 1 }, 'only the fields descriptor, signatures'],
    ['a bad label', withSignatures({ Bob: 'x' }), 'expected a label of a participant'],
    ['a short signature', withSignatures({ bob: 'AAAA' }), 'base64url of 64 bytes'],
    [
      'a padded signature',
      withSignatures({ bob: `${signed.signatures['bob']}==` }),
      'base64url of 64 bytes',
    ],
    ['a signature that is not a text', { descriptor, signatures: { bob: 7 } }, 'signatures.bob'],
    ['a list of signatures', { descriptor, signatures: [] }, 'signatures: expected an object'],
    [
      '65 signatures',
      withSignatures(Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`p${at}`, '']))),
      'at most 64 fields, got 65',
    ],
  ])('is refused with %s', (_, source, message) => {
    expect(() => parseSignedDescriptor(source)).toThrow(invalid(message))
    expect(() => verifySignedDescriptor(source)).toThrow(invalid(message))
  })

  it('cannot smuggle __proto__ in as a signer', () => {
    const text = JSON.stringify(signed).replace('"signatures":{', '"signatures":{"__proto__":"x",')
    expect(() => parseSignedDescriptor(text)).toThrow(invalid('expected a label'))
  })
})
