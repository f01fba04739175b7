// In the workload: evidence from Confidential Space's launcher, over the Unix socket that it mounts into
// the container.
// https://cloud.google.com/confidential-computing/confidential-space/docs/connect-external-resources

import { request } from 'node:http'
import { McbnError } from '../../errors.js'
import { type OptionTable, refuseUnknown } from '../../option-names.js'
import { choiceOption, integerOption, stringOption } from '../../options.js'
import { GCP_CS_OIDC } from './gcp-oidc.js'
import { GCP_CS_PKI } from './gcp-pki.js'
import { MOST_TOKEN_LENGTH } from './jwt.js'
import type { Attester } from './types.js'

/** How the launcher signs: under Google's published keys, or with a certificate chain. */
export type TokenType = 'OIDC' | 'PKI'

export interface LauncherAttesterOptions {
  /** The launcher's socket. @defaultValue '/run/container_launcher/teeserver.sock' */
  readonly socketPath?: string
  /** @defaultValue 'OIDC' */
  readonly tokenType?: TokenType
  /** The evidence's kind, to say `local` to a stand-in. @defaultValue by tokenType */
  readonly kind?: string
  /**
   * Milliseconds for one token; 1 to 120,000, which is as long as a challenge lives. The platform quotes,
   * then asks Google's service. @defaultValue 30_000
   */
  readonly timeout?: number
}

const OPTIONS = {
  socketPath: undefined,
  tokenType: undefined,
  kind: undefined,
  timeout: undefined,
} as const satisfies OptionTable<LauncherAttesterOptions>

/** The one place where defaults are written. */
export const LAUNCHER_DEFAULTS = {
  socketPath: '/run/container_launcher/teeserver.sock',
  tokenType: 'OIDC',
  timeout: 30_000,
} as const satisfies LauncherAttesterOptions

/** What the attestation service takes. */
export const NONCE_BYTES = { min: 8, max: 88 } as const
export const MOST_AUDIENCE_BYTES = 512

/** How much of a launcher's complaint is passed on, in characters. */
const MOST_COMPLAINT = 300

/**
 * An attester that asks the launcher.
 *
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`. Its `evidence` rejects with
 * `MCBN_ATTESTER_FAILED`, the reason as `cause`.
 */
export function createLauncherAttester(options: LauncherAttesterOptions = {}): Attester {
  refuseUnknown('createLauncherAttester', options, OPTIONS)
  const socketPath =
    stringOption('socketPath', options.socketPath, 107) ?? LAUNCHER_DEFAULTS.socketPath
  const tokenType = choiceOption(
    'tokenType',
    options.tokenType,
    ['OIDC', 'PKI'],
    LAUNCHER_DEFAULTS.tokenType,
  )
  const bounds = { min: 1, max: 120_000, unit: 'ms' }
  const timeout = integerOption('timeout', options.timeout, bounds, LAUNCHER_DEFAULTS.timeout)
  const kind =
    stringOption('kind', options.kind, 63) ?? (tokenType === 'PKI' ? GCP_CS_PKI : GCP_CS_OIDC)
  return {
    kind,
    async evidence({ audience, nonce, signal }) {
      checkBytes('nonce', nonce, NONCE_BYTES)
      checkBytes('audience', audience, { min: 1, max: MOST_AUDIENCE_BYTES })
      const body = JSON.stringify({ audience, nonces: [nonce], token_type: tokenType })
      const deadline = AbortSignal.timeout(timeout)
      const until = signal === undefined ? deadline : AbortSignal.any([signal, deadline])
      try {
        return { kind, token: await post(socketPath, body, until) }
      } catch (cause) {
        throw new McbnError('MCBN_ATTESTER_FAILED', complaint(cause, socketPath, kind, until), {
          cause,
        })
      }
    },
  }
}

function checkBytes(name: string, value: string, bounds: { min: number; max: number }): void {
  const bytes = Buffer.byteLength(value)
  if (bytes >= bounds.min && bytes <= bounds.max) return
  throw new McbnError(
    'MCBN_OPTION_RANGE',
    `${name}: expected ${bounds.min} to ${bounds.max} bytes, got ${bytes}`,
  )
}

/** Says which of the things that go wrong did; the answer itself never gets in here, it may be a token. */
function complaint(cause: unknown, socketPath: string, kind: string, until: AbortSignal): string {
  const [who, where] =
    kind === 'local'
      ? ['local attester', 'does mcbn attester local run there?']
      : ['launcher', 'is this a Confidential Space container?']
  if (cause instanceof LauncherRefused) return `${who}: ${cause.message}`
  const why = until.aborted ? 'gave no token in time, or nobody waits for it any more' : 'failed'
  return `${who}: the socket ${socketPath} ${why}; ${where}`
}

class LauncherRefused extends Error {
  override readonly name = 'LauncherRefused'
}

function post(socketPath: string, body: string, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        socketPath,
        method: 'POST',
        path: '/v1/token',
        headers: {
          host: 'localhost',
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
        },
        agent: false,
        signal,
      },
      (answer) => {
        const chunks: Buffer[] = []
        let size = 0
        answer.on('data', (chunk: Buffer) => {
          size += chunk.length
          if (size > MOST_TOKEN_LENGTH) {
            answer.destroy(new LauncherRefused(`answered more than ${MOST_TOKEN_LENGTH} bytes`))
          } else {
            chunks.push(chunk)
          }
        })
        answer.on('error', reject)
        answer.on('end', () => {
          const text = Buffer.concat(chunks).toString('latin1').trim()
          const status = answer.statusCode ?? 0
          if (status !== 200) {
            reject(new LauncherRefused(`answered status ${status}: ${printable(text)}`))
          } else if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(text)) {
            reject(new LauncherRefused('answered something that is not a JWT'))
          } else {
            resolve(text)
          }
        })
      },
    )
    asked.on('error', reject)
    asked.end(body)
  })
}

/** A refusal's text for people: one line, no control characters. */
function printable(text: string): string {
  return text.slice(0, MOST_COMPLAINT).replaceAll(/[^\x20-\x7e]+/g, ' ')
}
