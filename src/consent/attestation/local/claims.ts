// The claims that Confidential Space would make about a workload, for the local issuer: same names, same
// types, same shapes. Nobody measured anything: they say what the caller says.
// https://cloud.google.com/confidential-computing/confidential-space/docs/reference/token-claims

import { toUnixSeconds, type UnixMilliseconds } from '../../base/time.js'
import { DEFAULT_AUDIENCE } from '../jwt.js'

/** How long a token is valid; the platform's own have an hour. */
const LIFETIME_SECONDS = 3_600

/** A workload as its tokens describe it. Defaults are what a production image on Intel TDX shows. */
export interface LocalWorkload {
  /** `sha256:` and 64 hex digits. */
  readonly imageDigest: string
  readonly imageReference?: string
  readonly args?: readonly string[]
  /**
   * The whole environment as the container sees it. The platform's includes HOSTNAME and what the image
   * sets (PATH and the like); a policy has to allow these too. @defaultValue {}
   */
  readonly env?: Readonly<Record<string, string>>
  readonly overriddenArgs?: readonly string[]
  readonly overriddenEnv?: Readonly<Record<string, string>>
  /** @defaultValue 'GCP_INTEL_TDX' */
  readonly hardware?: string
  /** @defaultValue 'CONFIDENTIAL_SPACE' */
  readonly software?: string
  /** @defaultValue 'disabled-since-boot' */
  readonly debug?: string
  /** @defaultValue true */
  readonly secureBoot?: boolean
  /** @defaultValue ['LATEST', 'STABLE', 'USABLE'] */
  readonly support?: readonly string[]
  /** @defaultValue 'local-project' */
  readonly project?: string
  /** @defaultValue 'local-zone' */
  readonly zone?: string
  /** Decimal digits, as the platform numbers machines. @defaultValue '1000000000000000001' */
  readonly instance?: string
  /** @defaultValue 'local-instance' */
  readonly instanceName?: string
  /** @defaultValue ['workload@local-project.iam.gserviceaccount.com'] */
  readonly serviceAccounts?: readonly string[]
}

export interface LocalClaimsRequest {
  /** @defaultValue the default token's audience, `https://sts.googleapis.com` */
  readonly audience?: string
  /** None: the claim is left out. One: a string. More: an array. */
  readonly nonces?: readonly string[]
  readonly workload: LocalWorkload
  readonly now: UnixMilliseconds
}

/** Claims except for `iss`, which the issuer adds. A fresh plain object: change what a test needs changed. */
export function confidentialSpaceClaims(request: LocalClaimsRequest): Record<string, unknown> {
  const { audience = DEFAULT_AUDIENCE, nonces = [], workload } = request
  const issuedAt = toUnixSeconds(request.now)
  const project = workload.project ?? 'local-project'
  const zone = workload.zone ?? 'local-zone'
  const name = workload.instanceName ?? 'local-instance'
  return {
    aud: audience,
    exp: issuedAt + LIFETIME_SECONDS,
    iat: issuedAt,
    nbf: issuedAt,
    sub: `https://www.googleapis.com/compute/v1/projects/${project}/zones/${zone}/instances/${name}`,
    ...(nonces.length > 0 && { eat_nonce: nonces.length === 1 ? nonces[0] : [...nonces] }),
    eat_profile:
      'https://cloud.google.com/confidential-computing/confidential-space/docs/reference/token-claims',
    secboot: workload.secureBoot ?? true,
    // Google's private enterprise number.
    oemid: 11129,
    hwmodel: workload.hardware ?? 'GCP_INTEL_TDX',
    swname: workload.software ?? 'CONFIDENTIAL_SPACE',
    swversion: ['250800'],
    attester_tcb: ['INTEL'],
    dbgstat: workload.debug ?? 'disabled-since-boot',
    submods: {
      confidential_space: {
        support_attributes: [...(workload.support ?? ['LATEST', 'STABLE', 'USABLE'])],
        monitoring_enabled: { memory: false },
      },
      container: containerClaims(workload),
      gce: {
        zone,
        project_id: project,
        project_number: '100000000001',
        instance_name: name,
        instance_id: workload.instance ?? '1000000000000000001',
      },
    },
    google_service_accounts: [
      ...(workload.serviceAccounts ?? ['workload@local-project.iam.gserviceaccount.com']),
    ],
  }
}

/** Overrides are left out where there are none, as the platform does. */
function containerClaims(workload: LocalWorkload): Record<string, unknown> {
  const { overriddenArgs = [], overriddenEnv = {} } = workload
  return {
    image_reference: workload.imageReference ?? `registry.local/workload@${workload.imageDigest}`,
    image_digest: workload.imageDigest,
    restart_policy: 'Never',
    image_id: workload.imageDigest,
    ...(Object.keys(overriddenEnv).length > 0 && { env_override: { ...overriddenEnv } }),
    ...(overriddenArgs.length > 0 && { cmd_override: [...overriddenArgs] }),
    env: { ...workload.env },
    args: [...(workload.args ?? [])],
  }
}
