// mcbn/consent: shares, thresholds, attestation, release, leases. Works without the addon; only the
// sockets of a network need it, and load it when the first one is made.

export type { McbnErrorCode, McbnErrorKind } from '../errors.js'
export { McbnError } from '../errors.js'
export type {
  AttestedFacts,
  Attester,
  Evidence,
  EvidenceRequest,
  Verifier,
  VerifyRequest,
} from './attestation/types.js'
export type { Clock } from './clock.js'
export { systemClock } from './clock.js'
export type { DescriptorFields } from './descriptor/descriptor.js'
export {
  createDescriptor,
  descriptorBytes,
  descriptorHash,
  parseDescriptor,
} from './descriptor/descriptor.js'
export { connectionIdentity } from './descriptor/identity.js'
export type { VerifiedDescriptor, VerifyDescriptorOptions } from './descriptor/signed.js'
export {
  addSignature,
  parseSignedDescriptor,
  signDescriptor,
  verifySignedDescriptor,
} from './descriptor/signed.js'
export type {
  Descriptor,
  DescriptorMode,
  DescriptorParticipant,
  DescriptorRole,
  NetworkProtocol,
  Role,
  SignedDescriptor,
} from './descriptor/types.js'
export type { ParticipantKeys, ParticipantPublicKeys, ParticipantSeeds } from './keys.js'
export {
  exportPrivate,
  generateParticipantKeys,
  importPrivate,
  publicKeys,
  sign,
  verifySignature,
} from './keys.js'
export type {
  Lease,
  ParticipantCounters,
  ParticipantStatus,
  PendingRequest,
} from './participant/types.js'
export type { Policy, PolicyRole, PolicyWindow } from './policy/types.js'
export type {
  RefusalCode,
  Refused,
  Release,
  ReleaseChallenge,
  ReleaseEvidence,
  ReleaseHeader,
  ReleaseRequest,
  Withdrawal,
} from './release/messages.js'
export type { SealedSecrets, StoreKdf, StoreLock } from './store/seal.js'
export { openSecrets, sealSecrets } from './store/seal.js'
