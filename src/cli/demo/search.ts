// Looks for secrets in files, in every spelling that a program or a person would write them in. Runs in the
// process that has the secrets, and tells yes or no.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SearchAnswer } from './calls.js'

/**
 * @param root - a folder; everything below it is read, sockets apart.
 * @param secrets - 16 bytes or more each.
 * @param known - something public that is in these files: proof that the search finds what is there.
 */
export function searchFolder(
  root: string,
  secrets: readonly Uint8Array[],
  known: Uint8Array,
): SearchAnswer {
  const needles = secrets.flatMap(spellings)
  const control = spellings(known)
  const answer = { secrets: secrets.length, found: false, control: false, files: 0, bytes: 0 }
  for (const path of filesBelow(root)) {
    const content = readFileSync(path)
    answer.files += 1
    answer.bytes += content.length
    answer.found ||= needles.some((needle) => content.includes(needle))
    answer.control ||= control.some((needle) => content.includes(needle))
  }
  return answer
}

/** Raw; hex in both cases; base64 in both alphabets, wherever in a longer text it begins. */
export function spellings(secret: Uint8Array): Buffer[] {
  const raw = Buffer.from(secret)
  const hex = raw.toString('hex')
  const found = [raw, Buffer.from(hex), Buffer.from(hex.toUpperCase())]
  for (const before of [0, 1, 2]) {
    const text = Buffer.concat([Buffer.alloc(before), raw])
      .toString('base64')
      .replace(/=+$/, '')
    // Of the first and the last character, neighbouring bytes decide some bits.
    const start = Math.ceil((before * 8) / 6)
    const end = Math.floor(((before + raw.length) * 8) / 6)
    const sure = text.slice(start, end)
    found.push(Buffer.from(sure))
    found.push(Buffer.from(sure.replaceAll('+', '-').replaceAll('/', '_')))
  }
  return found
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return filesBelow(path)
    return entry.isFile() ? [path] : []
  })
}
