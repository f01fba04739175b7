// How the command ends: exit codes, and the one line on stderr that a failure is worth.

import type { Consent } from '../consent/workload/insufficient.js'
import { McbnError, type McbnErrorCode } from '../errors.js'

/** The exit codes of `mcbn`. Scripts may rely on them. */
export const EXIT = {
  /** Everything asked for was done; a listener was stopped by SIGINT or SIGTERM. */
  ok: 0,
  /** The command line was right, the deed failed: refused, no answer, connection lost, a file that is missing or wrong. */
  failure: 1,
  /** The command line itself is wrong: a command, an option, a value that was typed. Nothing was sent. */
  usage: 2,
} as const

/** Ends the process with its exit code, once all output has left it. The first call counts. */
export type Finish = (code: number) => void

/** The person at the terminal has interrupted a question. Nothing is left to say. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
  /** What shells report for a program that SIGINT ended. */
  readonly exitCode = 130
}

/** A wrong command line. The message names the option or argument and what it takes. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/**
 * The second half of an error line: what to do at the command line. The library's messages say
 * what was expected and what came, in terms of its options; these are in terms of the shell's.
 */
const ADVICE: Partial<Record<McbnErrorCode, string>> = {
  MCBN_PSK_MISMATCH: 'give both sides the same identity and key, and check hex: against ascii:',
  MCBN_PSK_IDENTITY_UNKNOWN: 'add this identity on the server, or correct --psk <identity>:<key>',
  MCBN_PSK_NOT_USED: 'this is not the server that has your key: check address and port',
  MCBN_HANDSHAKE_FAILED:
    'check identity and key on both sides, then compare --ciphers and --min-version/--max-version',
  MCBN_PROTOCOL_ERROR: 'check that the peer really speaks this protocol on this port',
  MCBN_HANDSHAKE_TIMEOUT:
    'check address, port and firewall; a DTLS peer with another key can be silent too',
  MCBN_CONNECTION_FAILED: 'check that a server listens there and that the name is right',
  MCBN_DISCOVERY_FAILED: 'check the name in the URL, and that the directory of --resolver knows it',
  MCBN_CONSENT_INSUFFICIENT: 'ask those that are named, then start again',
  MCBN_CONSENT_ENDED: 'start again once enough participants agree',
  MCBN_ATTESTER_FAILED: 'check --attester, and that this runs where the platform gives evidence',
  MCBN_POLICY_INVALID: 'policy.schema.json of the package (docs/) says what each field takes',
  MCBN_CONNECTION_LOST: 'connect again; the peer or the network ended it midway',
}

/**
 * When this side's OpenSSL refused what the peer offers, no key has been looked at: only the peer's alert, or
 * its silence, leaves room for doubts about it.
 */
function adviceFor(error: McbnError): string | undefined {
  // Nobody was asked in vain: this machine had nothing to ask with.
  if (error.code === 'MCBN_CONSENT_INSUFFICIENT' && onlyUnattested(error)) {
    return ADVICE.MCBN_ATTESTER_FAILED
  }
  const refusedHere =
    error.code === 'MCBN_HANDSHAKE_FAILED' &&
    error.cause instanceof Error &&
    !/\balert\b/.test(error.cause.message)
  if (refusedHere)
    return 'compare --ciphers and --min-version/--max-version with what the other side speaks'
  // Only where the network says so: a file that cannot be fetched, or a name, is another matter.
  if (error.code === 'MCBN_CONNECTION_FAILED' && !reachedNobody(error.cause)) return undefined
  return ADVICE[error.code]
}

/** Whether the attester of this machine is all that stood in the way. */
function onlyUnattested(error: McbnError): boolean {
  const { unattested, refused, silent, blamed } = error as Partial<Consent> & McbnError
  const others = [refused, silent, blamed].every((list) => (list ?? []).length === 0)
  return (unattested ?? []).length > 0 && others
}

/** Whether the system said that there is no server at that address, or no such name. */
function reachedNobody(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && NOBODY.has(String(cause.code))
}

const NOBODY: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'ETIMEDOUT',
  'EAI_AGAIN',
])

/** Which exit code an error stands for: a wrong command line is 2, all else 1, Ctrl-C at a question 130. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof Interrupted) return error.exitCode
  if (error instanceof UsageError) return EXIT.usage
  // The command line was right; the file is missing, or the system keeps it.
  if (fileProblem(error) !== undefined && !isThere(error)) return EXIT.failure
  return error instanceof McbnError && isAboutTyped(error) ? EXIT.usage : EXIT.failure
}

/** What is typed can be wrong in these ways; the other mistakes of callers are in files, or in folders. */
function isAboutTyped({ code }: McbnError): boolean {
  return code.startsWith('MCBN_OPTION_') || TYPED.has(code)
}

const TYPED: ReadonlySet<McbnErrorCode> = new Set([
  'MCBN_KEY_INVALID',
  'MCBN_IDENTITY_INVALID',
  'MCBN_CIPHERS_INVALID',
  'MCBN_SHARE_INVALID',
])

/**
 * An error as one line without line end: message, code, what to do.
 *
 * @param command - the subcommand whose --help a usage error points to, if any.
 */
export function errorLine(error: unknown, command?: string): string {
  return `mcbn: ${errorText(error, command)}`
}

/** {@link errorLine} without the name of the program. */
export function errorText(error: unknown, command?: string): string {
  const help = `see mcbn ${command === undefined ? '' : `${command} `}--help`
  if (error instanceof UsageError) return `${oneLine(error.message)}; ${help}`
  if (error instanceof McbnError) {
    const problem = fileProblem(error)
    const otherwise = problem ?? (isAboutTyped(error) ? help : undefined)
    const advice = adviceFor(error) ?? otherwise
    const text = `${oneLine(error.message)} (${error.code})`
    return advice === undefined ? text : `${text}; ${advice}`
  }
  const system = systemErrorText(error)
  if (system !== undefined) return system
  // Ours: the stack is what a report needs, and it still has to be one line.
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return `unexpected error, please report it: ${oneLine(text)} (MCBN_INTERNAL)`
}

/** The same as an object for --json. */
export function errorFields(error: unknown): Record<string, unknown> {
  if (error instanceof McbnError) {
    const { code, kind, message, alert, participant, line } = error
    const advice = adviceFor(error) ?? fileProblem(error)
    return { code, kind, message, alert, participant, line, advice }
  }
  if (error instanceof UsageError) return { code: 'USAGE', kind: 'usage', message: error.message }
  const system = systemErrorText(error)
  if (system !== undefined) return { code: 'SYSTEM', kind: 'environment', message: system }
  return { code: 'MCBN_INTERNAL', kind: 'internal', message: String(error) }
}

/**
 * Text as a single printable line. Identities and messages can be a stranger's bytes: control and
 * direction-changing characters would forge lines or repaint the terminal, so they are spelled out.
 */
export function oneLine(text: string): string {
  return text
    .replace(/\s*[\r\n]+\s*/g, ' ')
    .replace(
      /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
      (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
    )
    .trim()
}

/** An error of the operating system in words, e.g. for a port in use; undefined for others. */
function systemErrorText(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('syscall' in error)) return undefined
  const advice = 'code' in error ? SYSTEM_ADVICE[String(error.code)] : undefined
  return advice === undefined ? oneLine(error.message) : `${oneLine(error.message)}; ${advice}`
}

/** To name a file that must not be there yet is a slip of the command line. */
function isThere(error: unknown): boolean {
  return error instanceof Error && (error.cause as NodeJS.ErrnoException).code === 'EEXIST'
}

/** What to do about a file that the system did not give, or did not take; undefined for other errors. */
function fileProblem(error: unknown): string | undefined {
  if (!(error instanceof McbnError) || error.kind !== 'usage') return undefined
  const { cause } = error
  if (!(cause instanceof Error) || !('syscall' in cause) || !('code' in cause)) return undefined
  return FILE_ADVICE[String(cause.code)] ?? 'check the file'
}

const FILE_ADVICE: Readonly<Record<string, string>> = {
  ENOENT: 'check the path: there is no such file or folder',
  EACCES: 'ask for the permission, or run it as the owner of the file',
  EISDIR: 'name a file, not a folder',
  EEXIST: 'name another file, or remove the one that is there',
  ENOSPC: 'make room on the disk',
}

const SYSTEM_ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE: 'stop the program that has this port, or use port 0 for a free one',
  EADDRNOTAVAIL: 'this machine does not have that address; 0.0.0.0 and [::] stand for all it has',
  EACCES: 'choose a port above 1023, or ask for the permission',
  ENOTFOUND: 'check the host name',
}
