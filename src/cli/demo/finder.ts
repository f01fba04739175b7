// Finds secrets in what programs wrote, in every spelling that programs have for bytes.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'

export interface Place {
  readonly name: string
  readonly bytes: Buffer
}

/** Every file below a folder; sockets and the like apart. */
export function filesBelow(folder: string): Place[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name)
      return { name: path.slice(folder.length + 1), bytes: readFileSync(path) }
    })
}

/**
 * Where secrets show: raw, in hex, base64, base64url, as `<Buffer ..>`, as lists of numbers, as the one number
 * that a scalar is, as text with or without escapes; whole, or either half of 16 bytes or more.
 *
 * @param secrets - 16 bytes or more each.
 */
export function whereFound(
  places: readonly Place[],
  secrets: ReadonlyMap<string, Buffer>,
): string[] {
  const found = new Set<string>()
  // One place at a time: its forms take several times its memory.
  for (const place of places) {
    const looked = lookedAt(place)
    for (const [secret, bytes] of secrets) {
      const middle = bytes.length >> 1
      const halves = middle >= 16 ? ([0, middle] as const) : []
      const pieces = [
        { piece: bytes, from: 0 },
        ...halves.map((from) => ({ piece: bytes.subarray(from, from + middle), from })),
      ]
      for (const { piece, from } of pieces) {
        const spelling = spellingIn(looked, piece, from)
        if (spelling !== undefined) found.add(`${secret} in ${place.name}, ${spelling}`)
      }
    }
  }
  return [...found]
}

/** Bytes in each way in which a program could write them: what the finder has to find. */
export function spellingsOf(secret: Buffer): ReadonlyMap<string, Buffer> {
  const hex = secret.toString('hex')
  const latin1 = secret.toString('latin1')
  const shifted = (before: number) => Buffer.concat([Buffer.alloc(before, 0xa5), secret])
  const each = (prefix: string) => hex.replaceAll(/../g, `${prefix}$&`)
  const texts: Record<string, string> = {
    hex,
    'upper-case hex': hex.toUpperCase(),
    'hex with colons': hex.replaceAll(/..(?!$)/g, '$&:'),
    'a Buffer of util.inspect': inspect(secret),
    'a Uint8Array of util.inspect': inspect(new Uint8Array(secret)),
    'the JSON of a Buffer': JSON.stringify(secret),
    'the JSON of a Uint8Array': JSON.stringify(new Uint8Array(secret)),
    'a JSON array': JSON.stringify([...secret], null, 2),
    decimal: `${BigInt(`0x${hex}`)}`,
    'decimal, little-endian': `${BigInt(`0x${reversed(secret).toString('hex')}`)}n`,
    'hex, little-endian': reversed(secret).toString('hex'),
    base64: secret.toString('base64'),
    'base64 after a byte': shifted(1).toString('base64'),
    'base64 after two bytes': shifted(2).toString('base64'),
    base64url: secret.toString('base64url'),
    'base64 in lines': secret.toString('base64').replaceAll(/.{20}/g, '$&\n'),
    'a string of util.inspect': inspect(latin1),
    'a JSON string': JSON.stringify(latin1),
    'JSON in JSON': JSON.stringify(JSON.stringify(latin1)),
    'escapes of C': each('\\x'),
    'escapes of JSON': each('\\u00'),
    'escapes of URLs': encodeURIComponent(latin1),
    'escapes of forms': each('%'),
    'a string in UTF-8': latin1,
  }
  return new Map([
    ['bytes', secret],
    ...Object.entries(texts).map(([name, text]) => [name, Buffer.from(text)] as const),
  ])
}

interface Looked {
  readonly bytes: Buffer
  /** Without white space: Node breaks long lists into lines, and people break base64. */
  readonly text: string
  /** In the alphabet of base64url. */
  readonly url: string
  readonly lower: string
  /** Hex alone, without colons. */
  readonly joined: string
  /** With escapes undone, once and twice; each byte a character. */
  readonly plain: readonly string[]
}

function lookedAt({ bytes }: Place): Looked {
  const latin1 = bytes.toString('latin1')
  const text = latin1.replaceAll(/\s+/g, '')
  const lower = text.toLowerCase()
  const utf8 = bytes.toString('utf8')
  const once = [unescaped(latin1), unescaped(utf8)]
  return {
    ...{ bytes, text, lower },
    url: text.replaceAll('+', '-').replaceAll('/', '_'),
    joined: lower.replaceAll(':', ''),
    plain: [utf8, ...once, ...once.map(unescaped), decoded(utf8)],
  }
}

function spellingIn(
  { bytes, text, url, lower, joined, plain }: Looked,
  secret: Buffer,
  from: number,
): string | undefined {
  if (bytes.includes(secret)) return 'as it is'
  const hex = secret.toString('hex')
  const backwards = reversed(secret).toString('hex')
  // Without white space a Buffer's own form is hex.
  if ([hex, backwards].some((digits) => lower.includes(digits) || joined.includes(digits))) {
    return 'in hex'
  }
  const numbered = [...secret].map((byte, at) => `"${from + at}":${byte}`).join(',')
  if (text.includes([...secret].join(',')) || text.includes(numbered)) return 'as numbers'
  if ([hex, backwards].some((digits) => text.includes(`${BigInt(`0x${digits}`)}`))) {
    return 'as one number'
  }
  for (const shift of [0, 1, 2]) {
    const spelled = Buffer.concat([Buffer.alloc(shift), secret]).toString('base64url')
    // What other bytes before and after would change is left out.
    const fixed = spelled.slice(shift === 0 ? 0 : shift + 1, -2)
    if (url.includes(fixed)) return 'in base64'
  }
  const latin1 = secret.toString('latin1')
  return plain.some((form) => form.includes(latin1)) ? 'as text' : undefined
}

function reversed(bytes: Buffer): Buffer {
  return Buffer.from(bytes).reverse()
}

const LETTERS: Readonly<Record<string, string>> = {
  ...{ n: '\n', r: '\r', t: '\t', b: '\b', f: '\f', v: '\v', 0: '\0' },
}

/** The escapes of JavaScript, JSON and C undone. */
function unescaped(text: string): string {
  return text.replaceAll(/\\(?:x([0-9a-f]{2})|u00([0-9a-f]{2})|(.))/gis, (_, x, u, letter) => {
    const digits = x ?? u
    if (digits !== undefined) return String.fromCharCode(Number.parseInt(digits, 16))
    return LETTERS[letter] ?? letter
  })
}

/** The escapes of URLs undone (RFC 3986 section 2.1), as bytes and as UTF-8. */
function decoded(text: string): string {
  const bytes = text.replaceAll(/%([0-9a-f]{2})/gi, (_, digits) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  )
  return `${bytes}\n${Buffer.from(bytes, 'latin1').toString('utf8')}`
}
