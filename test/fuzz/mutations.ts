// Mutations that know what they change: bytes, text of tokens, JSON trees. Each is data that fast-check makes and
// shrinks, so that a failure comes as the shortest list of changes to one seed.

import fc from 'fast-check'

/** One change; the numbers are taken modulo whatever there is to choose from. */
interface Change {
  readonly kind: number
  readonly at: number
  readonly length: number
  readonly value: number
}

const change = fc.record({
  kind: fc.nat(63),
  at: fc.nat(1_000_000),
  length: fc.oneof(fc.nat(4), fc.nat(80)),
  value: fc.nat(1_000_000),
})
const changes = fc.array(change, { minLength: 0, maxLength: 8 })

const pick = <Value>(list: readonly Value[], number: number): Value =>
  list[number % list.length] as Value

// ---- bytes ------------------------------------------------------------------------------------------

const BYTES = [0x00, 0x01, 0x0a, 0x0d, 0x20, 0x22, 0x2e, 0x3a, 0x5c, 0x7f, 0x80, 0xc3, 0xed, 0xff]

/** Seeds with bytes and lengths changed, parts repeated, left out, or taken from another seed. */
export function bytesLike(seeds: readonly Uint8Array[]): fc.Arbitrary<Buffer> {
  return fc.tuple(fc.nat(1_000_000), changes).map(([seed, list]) => {
    let bytes: Buffer = Buffer.from(pick(seeds, seed))
    for (const step of list) bytes = changeBytes(bytes, step, seeds)
    return bytes
  })
}

function changeBytes(bytes: Buffer, step: Change, seeds: readonly Uint8Array[]): Buffer {
  const at = step.at % (bytes.length + 1)
  const end = Math.min(bytes.length, at + step.length)
  const [head, part, tail] = [bytes.subarray(0, at), bytes.subarray(at, end), bytes.subarray(end)]
  switch (step.kind % 8) {
    case 0: {
      const copy = Buffer.from(bytes)
      if (at < copy.length) copy[at] = (copy[at] ?? 0) ^ (1 << (step.value % 8))
      return copy
    }
    case 1:
      return Buffer.concat([head, Buffer.of(pick(BYTES, step.value)), tail])
    case 2:
      return Buffer.concat([head, tail])
    case 3:
      return Buffer.concat([head, part, part, tail])
    case 4:
      return Buffer.from(head)
    case 5: {
      const other = pick(seeds, step.value)
      return Buffer.concat([head, Buffer.from(other).subarray(step.at % (other.length + 1)), tail])
    }
    case 6: {
      // A length of two bytes, where the format has one.
      const copy = Buffer.from(bytes)
      if (at + 2 <= copy.length)
        copy.writeUInt16BE(pick([0, 1, 31, 33, 0x7fff, 0xffff], step.value), at)
      return copy
    }
    default:
      return Buffer.concat([head, Buffer.alloc(step.length, pick(BYTES, step.value)), part, tail])
  }
}

// ---- text -------------------------------------------------------------------------------------------

const TOKENS = [
  ...[
    '',
    ' ',
    '\t',
    '\n',
    '\r\n',
    '\0',
    ':',
    '::',
    '/',
    '//',
    '#',
    '%',
    '%00',
    '@',
    '[',
    ']',
    '.',
    '..',
  ],
  ...[
    '-',
    '_',
    '"',
    "'",
    '\\',
    '{',
    '}',
    ',',
    '=',
    '==',
    '+',
    '0',
    '00',
    '1e999',
    '-0',
    '65536',
    'ff',
  ],
  ...[
    'hex:',
    'ascii:',
    'tls://',
    'dtls://',
    'mcbn/1',
    'constructor',
    '__proto__',
    '\ufeff',
    '\u2028',
  ],
  ...['\u202e', '\ud800', '\udc00', '\u0130', '網', '😀', 'a'.repeat(300), 'A'.repeat(70_000)],
] as const

/** Seeds with tokens put in, taken out, doubled, cut, upper-cased. */
export function textLike(seeds: readonly string[]): fc.Arbitrary<string> {
  return fc
    .tuple(fc.nat(1_000_000), changes)
    .map(([seed, list]) =>
      list.reduce((text, step) => changeText(text, step, seeds), pick(seeds, seed)),
    )
}

function changeText(text: string, step: Change, seeds: readonly string[]): string {
  const at = step.at % (text.length + 1)
  const end = Math.min(text.length, at + step.length)
  const [head, part, tail] = [text.slice(0, at), text.slice(at, end), text.slice(end)]
  switch (step.kind % 7) {
    case 0:
      return head + pick(TOKENS, step.value) + part + tail
    case 1:
      return head + pick(TOKENS, step.value) + tail
    case 2:
      return head + tail
    case 3:
      return head + part + part + tail
    case 4:
      return head + part.toUpperCase() + tail
    case 5:
      return head + pick(seeds, step.value).slice(step.at % 40) + tail
    default:
      return head + String.fromCharCode(step.value % 0x1_0000) + tail
  }
}

// ---- JSON -------------------------------------------------------------------------------------------

type Json = null | boolean | number | string | Json[] | { [name: string]: Json }

const VALUES: readonly (() => Json)[] = [
  () => null,
  () => true,
  () => 0,
  () => -1,
  () => 1.5,
  () => Number.MAX_SAFE_INTEGER + 2,
  () => 4_294_967_296,
  () => '',
  () => 'mcbn/1',
  () => 'x'.repeat(5_000),
  () => '\ud800',
  () => '\0',
  () => '\u202e',
  () => 'A'.repeat(43),
  () => 'A'.repeat(86),
  () => [],
  () => ({}),
  () => JSON.parse('{"__proto__": {"v": 1}}') as Json,
  () => ({ toString: 'x', constructor: {}, length: 1 }),
  () => Array.from({ length: 300 }, () => 0),
  () => nested(64),
]

function nested(depth: number): Json {
  return depth === 0 ? 0 : [nested(depth - 1)]
}

/** Documents with fields replaced, left out, renamed, moved; as a value. */
export function jsonLike(seeds: readonly unknown[]): fc.Arbitrary<unknown> {
  return fc.tuple(fc.nat(1_000_000), changes).map(([seed, list]) => {
    // A copy: what a parser is given must not be the seed of the next run.
    let value = structuredClone(pick(seeds, seed)) as Json
    for (const step of list) value = changeJson(value, step)
    return value
  })
}

interface Place {
  readonly parent: Json[] | { [name: string]: Json }
  readonly name: string
}

function placesOf(value: Json, found: Place[] = []): Place[] {
  if (value === null || typeof value !== 'object' || found.length > 2_000) return found
  for (const name of Object.keys(value)) {
    found.push({ parent: value, name })
    placesOf((value as { [name: string]: Json })[name] as Json, found)
  }
  return found
}

function changeJson(value: Json, step: Change): Json {
  const places = placesOf(value)
  if (places.length === 0) return pick(VALUES, step.value)()
  const { parent, name } = pick(places, step.at)
  const object = parent as { [name: string]: Json }
  const here = object[name] as Json
  switch (step.kind % 8) {
    case 0:
      object[name] = pick(VALUES, step.value)()
      return value
    case 1:
      if (Array.isArray(parent)) parent.splice(Number(name), 1)
      else delete object[name]
      return value
    case 2:
      if (Array.isArray(parent)) parent.push(structuredClone(here))
      else object[`${name}${pick(TOKENS, step.value).slice(0, 300)}`] = here
      return value
    case 3: {
      const other = pick(places, step.value)
      object[name] = structuredClone((other.parent as { [name: string]: Json })[other.name] as Json)
      return placesOf(value).length > 2_000 ? null : value
    }
    case 4:
      if (typeof here === 'string') object[name] = changeText(here, step, [here])
      return value
    case 5:
      if (typeof here === 'number')
        object[name] = here + pick([1, -1, 0.5, 2 ** 32, 2 ** 53], step.value)
      return value
    case 6:
      object[name] = [here]
      return value
    default:
      if (typeof here === 'string') object[name] = [...here].reverse().join('')
      return value
  }
}
