import { describe, expect, it } from 'vitest'
import {
  MESSAGE_MAX_BYTES,
  parseLeaseReturn,
  parseRefused,
  parseRelease,
  parseReleaseChallenge,
  parseReleaseEvidence,
  parseReleaseRequest,
  parseWithdrawal,
  readMessage,
  TOKEN_MAX_BYTES,
} from '../../../src/consent/release/parse.js'
import { b64, RELEASE, REQUEST } from './samples.js'

const MESSAGES = {
  request: {
    parse: parseReleaseRequest,
    value: REQUEST,
  },
  challenge: { parse: parseReleaseChallenge, value: { c: b64(32), expires: 1_767_225_600 } },
  evidence: {
    parse: parseReleaseEvidence,
    value: {
      c: b64(32),
      request: { ...REQUEST, renews: b64(32) },
      evidence: { kind: 'gcp-cs-oidc', token: 'aa.bb.c-_' },
    },
  },
  release: {
    parse: parseRelease,
    value: RELEASE,
  },
  refusal: {
    parse: parseRefused,
    value: { label: 'bob', code: 'manual', retryAfter: 5, signature: b64(64) },
  },
  withdrawal: {
    parse: parseWithdrawal,
    value: { v: 'mcbn/1', label: 'bob', dh: b64(32), withdrawnAt: 7, signature: b64(64) },
  },
} as const

type Name = keyof typeof MESSAGES
// biome-ignore lint/suspicious/noExplicitAny: tests write what the types forbid
type Json = any

const invalid = (message: string) =>
  expect.objectContaining({
    code: 'MCBN_RELEASE_INVALID',
    kind: 'peer',
    message: expect.stringContaining(message),
  })

/** Sets one field, given as a path. */
function altered(name: Name, path: string, value: unknown): Json {
  const message: Json = JSON.parse(JSON.stringify(MESSAGES[name].value))
  const steps = path.split('.')
  const last = `${steps.pop()}`
  const target = steps.reduce((object, step) => object[step], message)
  if (value === undefined) delete target[last]
  else target[last] = value
  return message
}

function paths(value: object, before = ''): string[] {
  return Object.entries(value).flatMap(([key, item]) =>
    typeof item === 'object' && item !== null
      ? [`${before}${key}`, ...paths(item, `${before}${key}.`)]
      : [`${before}${key}`],
  )
}

describe.each(Object.keys(MESSAGES) as Name[])('consent/release: parses %s', (name) => {
  const { parse, value } = MESSAGES[name]

  it('into a fresh object with the same fields', () => {
    const source = JSON.parse(JSON.stringify(value))
    const parsed = parse(source)
    expect(parsed).toEqual(value)
    expect(parsed).not.toBe(source)
  })

  it('and refuses a field that is missing', () => {
    for (const path of paths(value)) {
      if (path === 'retryAfter' || path === 'request.renews') continue
      expect(() => parse(altered(name, path, undefined))).toThrow(invalid(path))
    }
  })

  it('and refuses a field of another type', () => {
    for (const path of paths(value)) {
      for (const wrong of [null, true, [], {}, -1, 1.5, '', 'ü', `${'x'.repeat(70_000)}`]) {
        expect(() => parse(altered(name, path, wrong))).toThrow(invalid(name))
      }
    }
  })

  it('and refuses a field that nobody asked for', () => {
    const objects = paths(value).filter((path) => path.includes('.'))
    for (const path of ['extra', ...objects.map((inner) => inner.replace(/[^.]+$/, 'extra'))]) {
      expect(() => parse(altered(name, path, 1))).toThrow(invalid('only the fields'))
    }
    const polluting = JSON.stringify(value).replace('{', '{"__proto__":{"polluted":1},')
    expect(() => parse(JSON.parse(polluting))).toThrow(invalid('only the fields'))
    expect(({} as Json).polluted).toBeUndefined()
  })

  it('and refuses what is not an object', () => {
    for (const wrong of [null, undefined, 7, 'text', [], [value]]) {
      expect(() => parse(wrong)).toThrow(invalid(`${name}: expected an object`))
    }
  })

  it('and never shows a value in the message', () => {
    const marker = 'hunter2 hunter2'
    for (const path of paths(value)) {
      expect(() => parse(altered(name, path, marker))).toThrow(
        expect.objectContaining({ message: expect.not.stringContaining('hunter2') }),
      )
    }
  })
})

describe('consent/release: parsing', () => {
  it.each<[Name, string, unknown]>([
    ['request', 'v', 'mcbn/2'],
    ['request', 'role', 'proxy'],
    ['request', 'suite', '0020-0001-0001'],
    ['request', 'pk', b64(31)],
    ['request', 'pk', b64(33)],
    ['request', 'pk', `${b64(32)}=`],
    ['request', 'r', `${b64(32).slice(0, -1)}z`],
    ['request', 'instance', b64(32)],
    ['challenge', 'expires', 2 ** 53],
    ['challenge', 'expires', 1_767_225_600_000],
    ['evidence', 'evidence.kind', 'GCP'],
    ['evidence', 'evidence.token', 'a b'],
    ['evidence', 'evidence.token', 'a\n'],
    ['evidence', 'evidence.token', ['a']],
    ['evidence', 'evidence.token', 'x'.repeat(TOKEN_MAX_BYTES + 1)],
    ['release', 'label', 'Bob'],
    ['release', 'header.epoch', 2 ** 32],
    ['release', 'header.leaseSeconds', 0],
    ['release', 'header.leaseSeconds', 86_401],
    ['release', 'ciphertext', b64(47)],
    ['release', 'ciphertext', b64(49)],
    ['refusal', 'code', 'maybe'],
    ['refusal', 'retryAfter', 86_401],
    ['withdrawal', 'signature', b64(63)],
  ])('refuses %s with another %s', (name, path, value) => {
    expect(() => MESSAGES[name].parse(altered(name, path, value))).toThrow(invalid(path))
  })

  it('takes a token of 64 KiB', () => {
    const token = 'x'.repeat(TOKEN_MAX_BYTES)
    const source = altered('evidence', 'evidence.token', token)
    expect(parseReleaseEvidence(source).evidence.token).toBe(token)
  })

  it('takes a refusal without retryAfter, and without signature only for busy', () => {
    const { label, signature } = MESSAGES.refusal.value
    expect(parseRefused({ label, code: 'policy', signature })).toEqual({
      label,
      code: 'policy',
      signature,
    })
    expect(parseRefused({ label, code: 'busy', retryAfter: 0 })).toEqual({
      label,
      code: 'busy',
      retryAfter: 0,
    })
    for (const code of ['policy', 'withdrawn', 'not-yet', 'manual']) {
      expect(() => parseRefused({ label, code })).toThrow(
        invalid(`signature with the code ${code}`),
      )
    }
  })

  it('reads JSON of at most 96 KiB', () => {
    const text = '{"a":1}'
    expect(readMessage(text.padEnd(MESSAGE_MAX_BYTES))).toEqual({ a: 1 })
    expect(readMessage(Buffer.from(text))).toEqual({ a: 1 })
    expect(() => readMessage(text.padEnd(MESSAGE_MAX_BYTES + 1))).toThrow(invalid('at most 98304'))
    expect(() => readMessage(Buffer.alloc(1 << 20, 'x'))).toThrow(invalid('at most 98304'))
    expect(() => readMessage('{')).toThrow(invalid('expected JSON'))
    expect(() => readMessage(Buffer.from([0xff]))).toThrow(invalid('expected JSON in UTF-8'))
    expect(() => readMessage(`${'['.repeat(50_000)}`)).toThrow(invalid('expected JSON'))
  })
})

describe('consent/release: parses a return', () => {
  const good = { v: 'mcbn/1', dh: b64(32), role: 'client', proofs: [b64(32)] }

  it('of 1 to 64 proofs, and refuses everything else', () => {
    expect(parseLeaseReturn(good)).toEqual(good)
    const wrong = [
      { ...good, v: 'mcbn/2' },
      { ...good, dh: b64(31) },
      { ...good, role: 'participant' },
      { ...good, more: 1 },
      ...[undefined, [], {}, [b64(31)], [1], Array(65).fill(b64(32))].map((proofs) => ({
        ...good,
        proofs,
      })),
    ]
    for (const message of [...wrong, null, 'x']) {
      expect(() => parseLeaseReturn(message)).toThrow(invalid('return'))
    }
  })
})
