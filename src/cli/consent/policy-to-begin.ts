// The policy that a new participant begins with, from what is known: the images that were built again, and whether
// a laptop's attester is to be believed.

import type { VerifiedDescriptor } from '../../consent/descriptor/signed.js'
import type { Role } from '../../consent/descriptor/types.js'
import { type ExamplePolicyOptions, examplePolicy } from '../../consent/policy/example.js'
import type { Policy, PolicyRole } from '../../consent/policy/types.js'
import { McbnError } from '../../errors.js'
import { readInput } from './files.js'
import { type VerifiedImage, verifiedImage } from './images.js'

export interface PolicyFlags {
  readonly policy?: string
  readonly verifyImage?: readonly string[]
  readonly localIssuer?: string
}

const MOST_ISSUER_BYTES = 64 * 1024
/** What a laptop's workload is told besides: where the stand-in is. */
const LOCAL_VARIABLE = 'MCBN_ATTESTER'
/** The project that local evidence names. */
const LOCAL_PROJECT = 'local-project'

/** @throws {McbnError} `MCBN_OPTION_CONFLICT` for an image that the descriptor does not allow. */
export async function policyToBegin(
  verified: VerifiedDescriptor,
  { verifyImage = [], localIssuer }: PolicyFlags,
): Promise<Policy> {
  const images: VerifiedImage[] = []
  for (const text of verifyImage) images.push(await verifiedImage(text))
  for (const { digest, role } of images) {
    if (verified.descriptor.roles[role].images.includes(digest)) continue
    throw new McbnError(
      'MCBN_OPTION_CONFLICT',
      `--verify-image: the descriptor does not allow ${digest} as ${role}`,
    )
  }
  const local = localIssuer === undefined ? {} : await trusting(localIssuer)
  const extra = localIssuer === undefined ? [] : [LOCAL_VARIABLE]
  const programs = Object.fromEntries(images.map((image) => [image.role, rulesOf(image, extra)]))
  return examplePolicy(verified, {
    ...local,
    programs: programs as Partial<Record<Role, ReturnType<typeof rulesOf>>>,
  })
}

/** Whether a person has to put something in before anything is released. */
export function toEdit({ policy, localIssuer }: PolicyFlags): boolean {
  return policy === undefined && localIssuer === undefined
}

/** Values of the image are exact; what the operator may set is free, since the descriptor's hash is pinned. */
function rulesOf(
  { program }: VerifiedImage,
  extra: readonly string[],
): Pick<PolicyRole, 'args' | 'env' | 'overrides'> {
  const free = [...program.overrides.filter((name) => name !== 'MCBN_DESCRIPTOR_HASH'), ...extra]
  return {
    args: program.args,
    env: {
      ...program.env,
      HOSTNAME: null,
      ...Object.fromEntries(free.map((name) => [name, null])),
    },
    overrides: { env: free },
  }
}

async function trusting(path: string): Promise<ExamplePolicyOptions> {
  const bytes = await readInput(path, '--local-issuer', MOST_ISSUER_BYTES)
  try {
    const { issuer, jwks } = JSON.parse(bytes.toString('utf8')) as { issuer: string; jwks: object }
    return {
      attestation: ['local'],
      projects: [LOCAL_PROJECT],
      localIssuers: [{ issuer, jwks }],
    }
  } catch (cause) {
    throw new McbnError(
      'MCBN_OPTION_RANGE',
      '--local-issuer: expected issuer.json of mcbn attester init',
      { cause },
    )
  }
}
