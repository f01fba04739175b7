// Key files: lines `identity:key`, as stunnel (PSKsecrets), mosquitto (psk_file) and GnuTLS (psktool)
// write them. How each of them reads a line is in file-formats.ts.

import { readFileSync } from 'node:fs'
import { McbnError } from '../errors.js'
import { type OptionTable, refuseUnknown } from '../option-names.js'
import { objectOption } from '../options.js'
import { LineProblem, type PskFileFormat, rulesOf } from './file-formats.js'
import { IDENTITY_MAX_BYTES_TLS13, identityBytes } from './identity.js'

/** How to read a key file. */
export interface PskFileOptions {
  /**
   * Reads each line exactly as this program does (docs/INTEROP.md tells how); nbdkit and QEMU read with
   * GnuTLS. Without it, a line that two of them read differently is refused.
   */
  readonly format?: PskFileFormat | undefined
}

const PSK_FILE_OPTIONS = { format: undefined } as const satisfies OptionTable<PskFileOptions>

/**
 * Reads a key file that is in memory.
 *
 * Each line is `identity:key`, the key in hex digits of either case, or marked `hex:` or `ascii:`; an
 * identity with colons needs such a mark. Blank lines are skipped, and comments: `#` and a space. LF and
 * CRLF end a line; a byte order mark is skipped. With `format` the rules are that program's.
 *
 * @returns identity -> key in the file's order, ready to be a server's `psk`. The caller owns the keys.
 * @throws {McbnError} `MCBN_PSK_FILE_INVALID` with `line`: no colon, an identity or a key that breaks
 * its rules, what two programs read differently, an identity that occurs twice. Never shows a key.
 * `MCBN_OPTION_RANGE` for an unknown format.
 */
export function parsePskFile(text: string, options: PskFileOptions = {}): Map<string, Buffer> {
  if (typeof text !== 'string') {
    throw new McbnError('MCBN_OPTION_TYPE', `text: expected a string, got ${typeof text}`)
  }
  objectOption('options', options)
  refuseUnknown('parsePskFile', options, PSK_FILE_OPTIONS)
  const { format } = options
  const rules = rulesOf(format)
  const keys = new Map<string, Buffer>()
  const firstLines = new Map<string, number>()
  if (format !== undefined && text.startsWith('\uFEFF')) {
    throw invalid(
      1,
      `a byte order mark, which ${format} takes into the first name; save without it`,
    )
  }
  // A carriage return inside a line is judged by the rules.
  const end = format === undefined ? /\r?\n/ : '\n'
  for (const [at, content] of text
    .replace(/^\uFEFF/, '')
    .split(end)
    .entries()) {
    const line = at + 1
    const entry = readLine(line, content, rules.read)
    if (entry === undefined) continue
    const { identity, key } = entry
    const earlier = firstLines.get(identity)
    if (earlier === undefined || rules.twice === 'last') {
      keys.get(identity)?.fill(0)
      keys.set(identity, key)
      firstLines.set(identity, line)
    } else {
      key.fill(0)
      if (rules.twice === 'first') continue
      throw invalid(line, `the identity is already on line ${earlier}; keep one of the two lines`)
    }
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
export function loadPskFile(path: string | URL, options: PskFileOptions = {}): Map<string, Buffer> {
  let content: Buffer
  try {
    content = readFileSync(path)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new McbnError('MCBN_PSK_FILE_INVALID', `key file: cannot be read: ${reason}`, { cause })
  }
  try {
    return parsePskFile(decodeUtf8(content), options)
  } finally {
    content.fill(0)
  }
}

function readLine(
  line: number,
  content: string,
  read: (content: string) => { identity: string; key: Buffer } | undefined,
): { identity: string; key: Buffer } | undefined {
  try {
    const entry = read(content)
    if (entry === undefined) return undefined
    identityBytes(entry.identity, 'identity', IDENTITY_MAX_BYTES_TLS13)
    if (UNSEEN.test(entry.identity)) {
      throw new LineProblem(
        'identity: expected characters that can be seen, got a control character',
      )
    }
    return entry
  } catch (error) {
    if (!(error instanceof LineProblem || error instanceof McbnError)) throw error
    // Not as `cause`: its code would say the same again, and this message has it all.
    throw invalid(line, error.message)
  }
}

/**
 * Characters that make a name look like another, or one line look like two: controls, separators of lines
 * (U+2028, U+2029), changes of direction, blanks without width. The two joiners stay: scripts need them.
 */
const UNSEEN = /[\p{Cc}\p{Zl}\p{Zp}]|(?![\u200c\u200d])\p{Cf}/u

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

/** `problem` never quotes the line: where the identity ends is exactly what can be wrong. */
function invalid(line: number, problem: string): McbnError {
  return new McbnError('MCBN_PSK_FILE_INVALID', `line ${line}: ${problem}`, { line })
}
