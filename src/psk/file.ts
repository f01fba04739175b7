// Key files: lines `identity:key`, as stunnel (PSKsecrets), mosquitto (psk_file) and GnuTLS (psktool)
// write them.

import { readFileSync } from 'node:fs'
import { McbnError } from '../errors.js'
import { identityBytes } from './identity.js'
import { parseKeyText } from './key.js'

/** An `identity:key` text taken apart; the key is still as it was written. */
export interface KeyLine {
  readonly identity: string
  readonly keyText: string
}

/**
 * Splits `identity:key`. An identity may itself have colons, a hex key has none, so the last colon
 * counts; a key marked `hex:` or `ascii:` begins at its mark (and an `ascii:` key may have colons).
 *
 * @returns `undefined` when there is no colon.
 */
export function splitKeyLine(text: string): KeyLine | undefined {
  const hexMark = /:hex:[^:]*$/.exec(text)
  const at = hexMark?.index ?? firstIndexOf(text, ':ascii:') ?? text.lastIndexOf(':')
  return at === -1 ? undefined : { identity: text.slice(0, at), keyText: text.slice(at + 1) }
}

/**
 * Reads a key file that is in memory.
 *
 * Each line is `identity:key`, the key in hex digits of either case, or marked `hex:` or `ascii:`.
 * An identity may have colons. Written as `#` and hex digits (GnuTLS does so for names with special
 * characters) it stands for the bytes, which must be UTF-8. Every other line that begins with `#`,
 * and every blank one, is skipped. LF and CRLF end a line; a byte order mark is skipped.
 *
 * @returns identity -> key in the file's order, ready to be a server's `psk`. The caller owns the keys.
 * @throws {McbnError} `MCBN_PSK_FILE_INVALID` with `line`: no colon, an identity or a key that breaks
 * its rules, an identity that occurs twice. Never shows a key.
 */
export function parsePskFile(text: string): Map<string, Buffer> {
  if (typeof text !== 'string') {
    throw new McbnError('MCBN_OPTION_TYPE', `text: expected a string, got ${typeof text}`)
  }
  const keys = new Map<string, Buffer>()
  const firstLines = new Map<string, number>()
  for (const [at, content] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    const line = at + 1
    if (isSkipped(content)) continue
    const { identity, key } = parseLine(content, line)
    const earlier = firstLines.get(identity)
    if (earlier !== undefined) {
      throw invalid(line, `the identity is already on line ${earlier}; keep one of the two lines`)
    }
    keys.set(identity, key)
    firstLines.set(identity, line)
  }
  return keys
}

/**
 * Reads a key file, see {@link parsePskFile}. Blocks while it reads: call it before serving.
 *
 * @param path - as for node:fs.
 * @throws {McbnError} `MCBN_PSK_FILE_INVALID`: as parsePskFile; also when the file cannot be read (the
 * system's error is the `cause`) or is not UTF-8.
 */
export function loadPskFile(path: string | URL): Map<string, Buffer> {
  let content: Buffer
  try {
    content = readFileSync(path)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new McbnError('MCBN_PSK_FILE_INVALID', `key file: cannot be read: ${reason}`, { cause })
  }
  try {
    return parsePskFile(decodeUtf8(content))
  } finally {
    content.fill(0)
  }
}

function isSkipped(content: string): boolean {
  const trimmed = content.trim()
  if (trimmed === '') return true
  return trimmed.startsWith('#') && !HEX_IDENTITY_LINE.test(content.trimEnd())
}

// As psktool writes it. Requiring the whole line to be of that form keeps `# note: see below` a comment.
const HEX_IDENTITY_LINE = /^#(?:[0-9a-fA-F]{2})+:(?:hex:[0-9a-fA-F]*|ascii:.*|[0-9a-fA-F]+)$/

function parseLine(content: string, line: number): { identity: string; key: Buffer } {
  const entry = splitKeyLine(content)
  if (entry === undefined) throw invalid(line, 'expected identity:key, got no colon')
  const identity = entry.identity.startsWith('#')
    ? decodeIdentity(entry.identity.slice(1), line)
    : plainIdentity(entry.identity, line)
  try {
    identityBytes(identity)
    // White space at the end of a line is invisible, and no part of hex digits.
    const keyText = entry.keyText.startsWith('ascii:') ? entry.keyText : entry.keyText.trimEnd()
    return { identity, key: parseKeyText(keyText) }
  } catch (error) {
    if (!(error instanceof McbnError)) throw error
    // Not as `cause`: its code would say the same again, and this message has it all.
    throw invalid(line, error.message)
  }
}

function plainIdentity(identity: string, line: number): string {
  // A name that looks right but has a space or control character in it never matches anybody.
  if (identity !== identity.trim() || /\p{Cc}/u.test(identity)) {
    throw invalid(
      line,
      `identity: expected no control characters, nor white space around it; write #<hex of its bytes> if they are meant`,
    )
  }
  return identity
}

function decodeIdentity(digits: string, line: number): string {
  const text = decodeStrict(Buffer.from(digits, 'hex'))
  if (text !== undefined) return text
  throw invalid(
    line,
    'identity: expected UTF-8 bytes after #; serve others through a lookup function',
  )
}

function decodeUtf8(content: Buffer): string {
  const text = decodeStrict(content)
  if (text !== undefined) return text
  // Found line by line: no byte of a UTF-8 sequence is ever a line feed.
  let line = 1
  for (let at = 0; at < content.length; line += 1) {
    const end = content.indexOf(0x0a, at)
    const stop = end === -1 ? content.length : end + 1
    if (decodeStrict(content.subarray(at, stop)) === undefined) break
    at = stop
  }
  throw invalid(line, 'expected UTF-8; save the file as UTF-8')
}

function decodeStrict(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

function firstIndexOf(text: string, mark: string): number | undefined {
  const at = text.indexOf(mark)
  return at === -1 ? undefined : at
}

/** `problem` never quotes the line: where the identity ends is exactly what can be wrong. */
function invalid(line: number, problem: string): McbnError {
  return new McbnError('MCBN_PSK_FILE_INVALID', `line ${line}: ${problem}`, { line })
}
