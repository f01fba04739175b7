// AWS Nitro: a document that the Nitro hypervisor signs about an enclave (`aws-nitro`) or about an EC2
// instance with NitroTPM (`aws-nitro-tpm`), under AWS's root. No service is asked.
//
// The token is base64url of the document as the Nitro Security Module or nitro-tpm-attest gives it; its
// `user_data` is `reportData` of the challenge.

import { type OptionTable, refuseUnknown } from '../../../option-names.js'
import { pinnedRoots } from '../chain.js'
import { CLOCK_TOLERANCE_SECONDS } from '../clock-tolerance.js'
import { checkPath } from '../path.js'
import {
  AWS_NITRO,
  AWS_NITRO_TPM,
  measurementDigest,
  noContainer,
  platformSection,
} from '../platform.js'
import { refused } from '../refuse.js'
import type { AttestedFacts, ClaimValue, Evidence, Verifier, VerifyRequest } from '../types.js'
import { checkReportData } from './binding.js'
import { checkCoseSignature, parseCoseSign1 } from './cose.js'
import { keyOn } from './der.js'
import {
  chainOf,
  type NitroDocument,
  type NitroSource,
  parseNitroDocument,
} from './nitro-document.js'
import { tokenBytes } from './token.js'

/** SHA-256 of AWS's root certificate for Nitro, CN=aws.nitro-enclaves, valid until 2049. */
export const AWS_NITRO_ROOTS: readonly string[] = [
  '641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b',
]

export interface NitroVerifierOptions {
  /**
   * The roots trusted: a certificate (PEM text or DER bytes) or its SHA-256 fingerprint.
   * @defaultValue AWS's
   */
  readonly roots?: readonly (string | Uint8Array)[]
}

const OPTIONS = { roots: undefined } as const satisfies OptionTable<NitroVerifierOptions>

/** How long a document is good for from its timestamp on. Policies narrow it by `tokenAgeSeconds`. */
const LIFETIME_MS = 300_000

const KINDS = { enclave: AWS_NITRO, tpm: AWS_NITRO_TPM } as const
const HARDWARE = { enclave: 'AWS_NITRO', tpm: 'AWS_NITRO_TPM' } as const
/**
 * The registers that are the image. An enclave's: the image file, kernel and boot, the application. An
 * instance's: the UEFI image that was booted, and what Secure Boot let through.
 */
const IMAGE = { enclave: [0, 1, 2], tpm: [4, 7] } as const

/**
 * A verifier of `aws-nitro`: enclaves. Needs the addon, see `checkPath`; needs no network.
 *
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE` if a root is none, or there is none.
 */
export function createNitroVerifier(options: NitroVerifierOptions = {}): Verifier {
  refuseUnknown('createNitroVerifier', options, OPTIONS)
  return verifierOf('enclave', options)
}

/**
 * A verifier of `aws-nitro-tpm`: EC2 instances with NitroTPM. Otherwise as {@link createNitroVerifier}.
 *
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE` if a root is none, or there is none.
 */
export function createNitroTpmVerifier(options: NitroVerifierOptions = {}): Verifier {
  refuseUnknown('createNitroTpmVerifier', options, OPTIONS)
  return verifierOf('tpm', options)
}

function verifierOf(source: NitroSource, options: NitroVerifierOptions): Verifier {
  const roots = pinnedRoots(options.roots ?? AWS_NITRO_ROOTS)
  return {
    kind: KINDS[source],
    async verify(evidence: Evidence, expected: VerifyRequest) {
      const bytes = tokenBytes(evidence, KINDS[source])
      const { document, facts } = verifyNitro(bytes, source, roots, expected.now)
      checkReportData('user_data', document.userData, expected)
      return facts
    },
  }
}

/**
 * All but what the document is about: form, chain, signature, time.
 *
 * @param roots - fingerprints, of `pinnedRoots`.
 * @throws {McbnError} `MCBN_EVIDENCE_REFUSED`, saying which check failed.
 */
export function verifyNitro(
  bytes: Buffer,
  source: NitroSource,
  roots: ReadonlySet<string>,
  now: number,
): { readonly document: NitroDocument; readonly facts: AttestedFacts } {
  const message = parseCoseSign1(bytes)
  const document = parseNitroDocument(message.payload, source)
  const { certificate } = document
  // One curve, so a stranger's key costs what a right one does; whose it is, the path says next.
  checkCoseSignature(message, keyOn('P-384', certificate, 'certificate'))
  const { root, intermediates } = chainOf(document)
  if (!roots.has(root.fingerprint256)) throw refused('cabundle[0]', 'expected a pinned root')
  const names = ['certificate', ...intermediates.map((_, at) => `intermediate ${at + 1}`), 'root']
  // AWS's leaves name no key identifiers: not strict, all else is checked.
  checkPath({ leaf: certificate, intermediates, root, now, names, strict: false })
  checkTime(document, now)
  return { document, facts: factsOf(document) }
}

/** Written so that a `now` that is no number is refused. */
function checkTime({ timestamp }: NitroDocument, now: number): void {
  const tolerance = CLOCK_TOLERANCE_SECONDS * 1000
  if (!(timestamp <= now + tolerance)) {
    throw refused('timestamp', 'made in the future: compare the clocks')
  }
  if (!(now < timestamp + LIFETIME_MS + tolerance)) {
    throw refused('timestamp', `expected a document of the last ${LIFETIME_MS / 1000} s`)
  }
}

function factsOf(document: NitroDocument): AttestedFacts {
  const { source, moduleId, timestamp, registers } = document
  const kind = KINDS[source]
  const image = IMAGE[source].map((at) => [at, registers.get(at)] as const)
  const isMeasured = image.every(([, register]) => register?.some((byte) => byte !== 0))
  const whole = image.every(([, register]) => register !== undefined)
  return Object.freeze<AttestedFacts>({
    kind,
    issuer: 'AWS',
    attestedAt: timestamp,
    expiresAt: timestamp + LIFETIME_MS,
    hardware: HARDWARE[source],
    // An enclave in debug mode measures nothing: its registers are zeros, and its console is the operator's.
    debug: isMeasured ? 'disabled-since-boot' : 'enabled',
    imageDigest: whole
      ? measurementDigest(
          kind,
          Object.fromEntries(image.map(([at, register]) => [`pcr${at}`, register as Buffer])),
        )
      : undefined,
    ...noContainer(),
    instance: moduleId,
    platform: platformSection(kind, claimsOf(document)),
  })
}

function claimsOf({ moduleId, registers }: NitroDocument): Record<string, ClaimValue> {
  const named = [...registers].map(([at, register]) => [`pcr${at}`, register.toString('hex')])
  return { module_id: moduleId, ...Object.fromEntries(named) }
}
