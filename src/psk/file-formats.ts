// One line of a key file, as mosquitto, stunnel and GnuTLS read it, and as mcbn reads it without being told:
// only what none of them reads in another way. docs/INTEROP.md has the table; test/interop compares it with
// the programs themselves.

import { McbnError } from '../errors.js'
import { decodeHex } from './hex.js'
import { copyPskKey, parseKeyText } from './key.js'

/** Whose rules a key file follows. nbdkit and QEMU read theirs with GnuTLS. */
export type PskFileFormat = 'mosquitto' | 'stunnel' | 'gnutls'

export const PSK_FILE_FORMATS: readonly PskFileFormat[] = ['mosquitto', 'stunnel', 'gnutls']

/** An identity and its key; the caller owns and wipes the key. */
export interface FileEntry {
  readonly identity: string
  readonly key: Buffer
}

export interface LineRules {
  /** @returns undefined for a line that names no key. @throws {LineProblem}, or an McbnError of the key. */
  read(content: string): FileEntry | undefined
  /** Which of two lines with one identity counts. */
  readonly twice: 'refuse' | 'first' | 'last'
}

/** What is wrong with a line. Never quotes it: where the identity ends is exactly what can be wrong. */
export class LineProblem extends Error {}

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
 * @throws {LineProblem} when what would be the identity has the digits of a key.
 */
export function splitKeyLine(text: string): KeyLine | undefined {
  const mark = markOf(text)
  const at = mark ?? text.lastIndexOf(':')
  if (at === -1) return undefined
  const identity = text.slice(0, at)
  if (mark === undefined) refuseKeyInIdentity(text, identity)
  return { identity, keyText: text.slice(at + 1) }
}

/** Where a marked key begins, at the colon before its mark. */
function markOf(text: string): number | undefined {
  const hex = /:hex:[^:]*$/.exec(text)
  if (hex !== null) return hex.index
  const ascii = text.indexOf(':ascii:')
  return ascii === -1 ? undefined : ascii
}

const SEPARATED_HEX = /:(?:[0-9a-fA-F]{2}:){3,}[0-9a-fA-F]{2}\s*$/
/** Half of the shortest key there may be. */
const KEY_DIGITS = /(?:^|:)[0-9a-fA-F]{16,}(?:$|:)/

/** Half a key must not become a name, which travels in the clear. */
function refuseKeyInIdentity(text: string, identity: string): void {
  if (SEPARATED_HEX.test(text)) {
    throw new LineProblem('key: expected hex digits, got colons between them; leave the colons out')
  }
  if (identity.includes(':') && KEY_DIGITS.test(identity.slice(identity.indexOf(':')))) {
    throw new LineProblem(
      'expected one key, got a colon within its digits; mark it as hex:<key> if the first part belongs to the identity',
    )
  }
}

// ---- mcbn's own: what every program reads alike ---------------------------------------------------

/** A line behind # that somebody may mean as a key. */
const HIDDEN_KEY = /^#\S[^:]*:\s*(?:ascii:.*|(?:hex:)?[0-9a-fA-F][0-9a-fA-F:]*\s*)$/

const common: LineRules = {
  twice: 'refuse',
  read(content) {
    const trimmed = content.trim()
    if (trimmed === '') return undefined
    if (trimmed.startsWith('#')) {
      if (!HIDDEN_KEY.test(content)) return undefined
      throw new LineProblem(
        '# is the start of a comment to mosquitto, of hex digits to GnuTLS, of the name to stunnel; say which format it is, or write a space behind # for a comment',
      )
    }
    const entry = splitKeyLine(content)
    if (entry === undefined) throw new LineProblem('expected identity:key, got no colon')
    const { identity, keyText } = entry
    if (identity.includes(':') && markOf(content) === undefined) {
      throw new LineProblem(
        'expected one colon, got several, which programs read differently; mark the key as hex:<key> for an identity with colons, or say which format it is',
      )
    }
    // A name that looks right but has a space around it never matches anybody.
    if (identity !== identity.trim()) {
      throw new LineProblem(
        'identity: expected no white space around it, which mosquitto leaves out and stunnel and GnuTLS keep',
      )
    }
    return { identity, key: parseKeyText(keyText) }
  },
}

// ---- mosquitto, psk_file --------------------------------------------------------------------------

/** isspace() of C, which mosquitto trims by. */
const BLANKS = /^[ \t\v\f\r]+|[ \t\v\f\r]+$/g

const mosquitto: LineRules = {
  twice: 'first',
  read(content) {
    if (content.startsWith('#') || !content.includes(':')) return undefined
    // strtok_r(): colons side by side are one, and what follows the second field is not looked at.
    const [identity = '', digits = ''] = content
      .split(':')
      .filter((field) => field !== '')
      .map((field) => field.replaceAll(BLANKS, ''))
    if (digits === '') throw new LineProblem('key: expected hex digits, got none')
    // BN_hex2bn(): an odd digit is the lower half of the first byte.
    return { identity, key: hexKey(digits.length % 2 === 0 ? digits : `0${digits}`) }
  },
}

// ---- stunnel, PSKsecrets --------------------------------------------------------------------------

const stunnel: LineRules = {
  twice: 'last',
  read(content) {
    const line = content.replaceAll('\r', '')
    if (line === '') return undefined
    const at = line.indexOf(':')
    if (at === -1) throw new LineProblem('expected identity:key, got no colon')
    const keyText = line.slice(at + 1)
    return { identity: line.slice(0, at), key: stunnelKey(keyText) }
  },
}

/** OPENSSL_hexstr2buf(): pairs of digits, colons anywhere between them; anything else is a key in text. */
function stunnelKey(text: string): Buffer {
  if (/^:*(?:[0-9a-fA-F]{2}:*)+$/.test(text)) return hexKey(text.replaceAll(':', ''))
  const bytes = Buffer.alloc(Buffer.byteLength(text))
  bytes.write(text)
  return checked(bytes)
}

// ---- GnuTLS, a password file of psktool -----------------------------------------------------------

const gnutls: LineRules = {
  twice: 'first',
  read(content) {
    const at = content.indexOf(':')
    if (at === -1) return undefined
    const name = content.slice(0, at)
    const digits = content.slice(at + 1)
    if (name.startsWith('#')) {
      if (/^#(?:[0-9a-fA-F]{2})+$/.test(name)) {
        return { identity: decodeIdentity(name.slice(1)), key: gnutlsKey(digits) }
      }
      if (!HIDDEN_KEY.test(content)) return undefined
      throw new LineProblem(
        'identity: expected hex digits after #, got others; GnuTLS gives this key to nobody, though psktool writes such lines: write # and the hex of the name',
      )
    }
    return { identity: name, key: gnutlsKey(digits) }
  },
}

/** GnuTLS passes over a line whose key is not hex digits alone: its author wants to know. */
function gnutlsKey(digits: string): Buffer {
  if (digits.endsWith('\r')) {
    throw new LineProblem(
      'expected LF at the end of the line, got CRLF; GnuTLS finds no key in such a line',
    )
  }
  return hexKey(digits)
}

function decodeIdentity(digits: string): string {
  try {
    const bytes = Buffer.from(digits, 'hex')
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new LineProblem(
      'identity: expected UTF-8 bytes after #; serve others through a lookup function',
    )
  }
}

// ---------------------------------------------------------------------------------------------------

function hexKey(digits: string): Buffer {
  return checked(decodeHex(digits, 'key', 'MCBN_KEY_INVALID'))
}

function checked(bytes: Buffer): Buffer {
  try {
    return copyPskKey(bytes)
  } finally {
    bytes.fill(0)
  }
}

const RULES: Readonly<Record<PskFileFormat, LineRules>> = { mosquitto, stunnel, gnutls }

/**
 * @param format - absent: mcbn's own, what all programs read alike.
 * @throws {McbnError} `MCBN_OPTION_RANGE` for another format.
 */
export function rulesOf(format: PskFileFormat | undefined): LineRules {
  if (format === undefined) return common
  if (typeof format === 'string' && Object.hasOwn(RULES, format)) return RULES[format]
  throw new McbnError(
    'MCBN_OPTION_RANGE',
    `format: expected ${PSK_FILE_FORMATS.join(', ')}, got ${String(format)}`,
  )
}
