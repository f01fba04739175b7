// JSON that people write. JSON.parse takes the last of two fields with one name, silently; in a policy
// that would be a rule which its author sees and nobody follows.

import { McbnError } from '../../errors.js'
import { UTF_8 } from '../base/utf8.js'

/**
 * Reads JSON text, refusing an object that has one name twice.
 *
 * @throws {McbnError} `MCBN_POLICY_INVALID` with line and column; the message quotes names, never values.
 */
export function parseStrictJson(source: string | Uint8Array, mostBytes: number): unknown {
  const bytes = typeof source === 'string' ? Buffer.byteLength(source) : source.length
  if (bytes > mostBytes) throw invalid(`expected at most ${mostBytes} bytes, got ${bytes}`)
  const text = typeof source === 'string' ? source : decode(source)
  const value = parse(text)
  refuseDuplicates(text)
  return value
}

function decode(bytes: Uint8Array): string {
  try {
    return UTF_8.decode(bytes)
  } catch {
    throw invalid('expected UTF-8, got other bytes')
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    // V8's message quotes the text around; the wrong file can be anything, a share too.
    const at = /at position (\d+)/.exec(error instanceof Error ? error.message : '')?.[1]
    const where = at === undefined ? '' : `, ${place(text, Number(at))}`
    throw invalid(`expected JSON${where}; look for a missing or superfluous comma or quote`)
  }
}

/** @param text - known to be JSON, so that its tokens are all that has to be told apart. */
function refuseDuplicates(text: string): void {
  const tokens = /"(?:[^"\\]|\\.)*"|[{}[\],:]/gsu
  // One entry per open object (its names so far) or list (undefined).
  const open: (Set<string> | undefined)[] = []
  let nameExpected = false
  for (const match of text.matchAll(tokens)) {
    const token = match[0]
    if (token === '{' || token === '[') {
      open.push(token === '{' ? new Set() : undefined)
      nameExpected = token === '{'
    } else if (token === '}' || token === ']') {
      open.pop()
      nameExpected = false
    } else if (token === ',') {
      nameExpected = open.at(-1) !== undefined
    } else if (token !== ':' && nameExpected) {
      // Parsed, since "a" and "\u0061" are one name.
      const name: unknown = JSON.parse(token)
      const names = open.at(-1)
      if (names?.has(String(name))) {
        throw invalid(
          `expected each field once, got ${token.slice(0, 64)} twice, ${place(text, match.index)}`,
        )
      }
      names?.add(String(name))
      nameExpected = false
    }
  }
}

function place(text: string, at: number): string {
  const before = text.slice(0, at).split('\n')
  return `line ${before.length} column ${(before.at(-1)?.length ?? 0) + 1}`
}

function invalid(what: string): McbnError {
  return new McbnError('MCBN_POLICY_INVALID', `policy: ${what}`)
}
