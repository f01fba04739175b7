// Looks for secrets in what a program wrote, in every spelling that programs have for bytes.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Place {
  readonly name: string
  readonly bytes: Buffer
}

/** Every file below a folder. */
export function filesBelow(folder: string): Place[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name)
      return { name: path.slice(folder.length + 1), bytes: readFileSync(path) }
    })
}

/**
 * Where secrets show: raw, in hex, base64, base64url, as `<Buffer ..>`, as lists of numbers, or as the one
 * number that a scalar is; whole, or either half of 16 bytes or more.
 */
export function whereFound(
  places: readonly Place[],
  secrets: ReadonlyMap<string, Buffer>,
): string[] {
  const found: string[] = []
  // Node breaks long lists into lines, and people break base64.
  const looked = places.map(({ name, bytes }) => {
    const text = bytes.toString('latin1').replaceAll(/\s+/g, '')
    const url = text.replaceAll('+', '-').replaceAll('/', '_')
    return { name, bytes, text, url, lower: text.toLowerCase() }
  })
  for (const [secret, bytes] of secrets) {
    const middle = bytes.length >> 1
    const halves = middle >= 16 ? [bytes.subarray(0, middle), bytes.subarray(middle)] : []
    for (const piece of [bytes, ...halves]) {
      for (const place of looked) {
        const spelling = spellingIn(place, piece)
        if (spelling !== undefined) found.push(`${secret} in ${place.name}, ${spelling}`)
      }
    }
  }
  return [...new Set(found)]
}

interface Looked extends Place {
  /** Without white space. */
  readonly text: string
  /** In the alphabet of base64url. */
  readonly url: string
  readonly lower: string
}

function spellingIn({ bytes, text, url, lower }: Looked, secret: Buffer): string | undefined {
  if (bytes.includes(secret)) return 'as it is'
  // Without white space a Buffer's own form is hex.
  if (lower.includes(secret.toString('hex'))) return 'in hex'
  const list = [...secret].join(',')
  if (text.includes(list)) return 'as numbers'
  if (text.includes(scalarOf(secret))) return 'as one number'
  for (const shift of [0, 1, 2]) {
    const spelled = Buffer.concat([Buffer.alloc(shift), secret]).toString('base64url')
    // What other bytes before and after would change is left out.
    const fixed = spelled.slice(shift === 0 ? 0 : shift + 1, -2)
    if (url.includes(fixed)) return 'in base64'
  }
  return undefined
}

/** Little-endian, as scalars of ristretto255 are. */
function scalarOf(secret: Buffer): string {
  return `${BigInt(`0x${Buffer.from(secret).reverse().toString('hex')}`)}`
}
