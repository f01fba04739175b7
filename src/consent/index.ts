// mcbn/consent: shares, thresholds, attestation, release, leases. Works without the addon; only the
// sockets of a network need it, and load it when the first one is made.

export type { McbnErrorCode, McbnErrorKind } from '../errors.js'
export { McbnError } from '../errors.js'
export type { GcpOidcOptions } from './attestation/gcp-oidc.js'
export { createGcpOidcVerifier, GCP_CS_ISSUER, GCP_CS_JWKS_URI } from './attestation/gcp-oidc.js'
export type { GcpPkiOptions } from './attestation/gcp-pki.js'
export { createGcpPkiVerifier } from './attestation/gcp-pki.js'
export { reportData } from './attestation/hardware/binding.js'
export type { NitroVerifierOptions } from './attestation/hardware/nitro.js'
export { createNitroTpmVerifier, createNitroVerifier } from './attestation/hardware/nitro.js'
export type { SnpVerifierOptions } from './attestation/hardware/snp.js'
export { createSnpVerifier } from './attestation/hardware/snp.js'
export type { TdxVerifierOptions } from './attestation/hardware/tdx.js'
export { createTdxVerifier } from './attestation/hardware/tdx.js'
export type { TdxCollateral } from './attestation/hardware/tdx-collateral.js'
export type { TsmAttesterOptions } from './attestation/hardware/tsm.js'
export { createTsmAttester } from './attestation/hardware/tsm.js'
export type { KeySetOptions } from './attestation/key-set-options.js'
export type { LauncherAttesterOptions, TokenType } from './attestation/launcher.js'
export { createLauncherAttester } from './attestation/launcher.js'
export type { LocalClaimsRequest, LocalWorkload } from './attestation/local/claims.js'
export { confidentialSpaceClaims } from './attestation/local/claims.js'
export type { LocalIssuer, LocalIssuerOptions, LocalJwk } from './attestation/local/issuer.js'
export { createLocalIssuer } from './attestation/local/issuer.js'
export type { LocalLauncher, ServeLauncherOptions } from './attestation/local/launcher.js'
export { serveLauncher } from './attestation/local/launcher.js'
export type { LocalVerifierOptions } from './attestation/local/verifier.js'
export { checkLocalIssuers, createLocalVerifier } from './attestation/local/verifier.js'
export { measurementDigest } from './attestation/platform.js'
export type { MaaVerifierOptions } from './attestation/services/azure-maa.js'
export { createMaaVerifier } from './attestation/services/azure-maa.js'
export type { ItaVerifierOptions } from './attestation/services/intel-ita.js'
export { createItaVerifier } from './attestation/services/intel-ita.js'
export { createSeveralAttester } from './attestation/several.js'
export type {
  AttestedFacts,
  Attester,
  ClaimValue,
  Evidence,
  EvidenceRequest,
  PlatformSection,
  Verifier,
  VerifyRequest,
} from './attestation/types.js'
export type { EvidencePolicy, VerifiersOptions } from './attestation/verifiers.js'
export { createVerifiers } from './attestation/verifiers.js'
export type { CheckpointKey } from './audit/checkpoint.js'
export type {
  AuditCheckpoints,
  AuditEntry,
  AuditEventType,
  AuditHead,
  AuditLine,
  AuditLogOptions,
  AuditReading,
  AuditSource,
  ReadAuditOptions,
  VerifyAuditOptions,
} from './audit/log.js'
export { AuditLog, readAudit, verifyAudit } from './audit/log.js'
export type { Clock } from './base/clock.js'
export { systemClock } from './base/clock.js'
export type { ParticipantKeys, ParticipantPublicKeys, ParticipantSeeds } from './base/keys.js'
export {
  exportPrivate,
  generateParticipantKeys,
  importPrivate,
  publicKeys,
  sign,
  verifySignature,
} from './base/keys.js'
export type { Board, BoardOptions } from './ceremony/board.js'
export { serveBoard } from './ceremony/board.js'
export { BoardTransport } from './ceremony/board-client.js'
export type {
  CeremonyMemory,
  CeremonyResult,
  CeremonySeat,
  NamedMessage,
} from './ceremony/ceremony.js'
export { Ceremony } from './ceremony/ceremony.js'
export type { CeremonyProgress, DriveOptions } from './ceremony/drive.js'
export { driveStep, driveToEnd } from './ceremony/drive.js'
export type { CeremonyRound } from './ceremony/messages.js'
export type { CeremonyPlan, CheckedPlan, PlanFields, PlanParticipant } from './ceremony/plan.js'
export { createPlan, parsePlan, planBytes } from './ceremony/plan.js'
export type { CeremonySecret } from './ceremony/secret.js'
export { decodeSecret, encodeSecret, wipeSecret } from './ceremony/secret.js'
export type { NewStateOptions } from './ceremony/state.js'
export { CeremonyState } from './ceremony/state.js'
export type { CeremonyTransport } from './ceremony/transport.js'
export { FolderTransport, MemoryTransport } from './ceremony/transport.js'
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
export type { BudgetName } from './participant/budgets.js'
export type { ParticipantEvents } from './participant/events.js'
export type { ParticipantServer, ServeParticipantOptions } from './participant/http.js'
export { participantApp, serveParticipant } from './participant/http.js'
export type { HttpListener } from './participant/http-listener.js'
export type {
  NotificationResult,
  NotifiedRequest,
  NotifyOptions,
  PendingNotification,
  PendingNotifier,
  WebhookOptions,
} from './participant/notify/index.js'
export { NOTIFY_DEFAULTS, notifyOfPending } from './participant/notify/index.js'
export type {
  NewPolicy,
  ParticipantAudit,
  ParticipantLimits,
  ParticipantOptions,
} from './participant/options.js'
export { PARTICIPANT_LIMITS } from './participant/options.js'
export { createParticipant, Participant } from './participant/participant.js'
export type { ReloadPolicyOptions, StoredParticipantOptions } from './participant/stored.js'
export { participantOfStore, reloadStoredPolicy, withdrawStored } from './participant/stored.js'
export type {
  ParticipantCounters,
  ParticipantStatus,
  PendingRequest,
  RefusedRequest,
} from './participant/types.js'
export type {
  AuditForPage,
  AuditLine as PageAuditLine,
  AuditReport,
  ParticipantView,
  ParticipantWeb,
  ParticipantWebOptions,
  ServeParticipantWebOptions,
} from './participant/web/index.js'
export {
  createParticipantWeb,
  participantView,
  serveParticipantWeb,
  WEB_DEFAULTS,
  WEB_SERVER_DEFAULTS,
} from './participant/web/index.js'
export type { PolicyDecision, PolicyQuestion } from './policy/evaluate.js'
export { evaluatePolicy } from './policy/evaluate.js'
export type { ExamplePolicyOptions } from './policy/example.js'
export { examplePolicy } from './policy/example.js'
export { readSignedImages } from './policy/image-folder.js'
export { checkPolicyAgainst, parseImageRule, parsePolicy } from './policy/parse.js'
export { POLICY_SCHEMA } from './policy/schema.js'
export type { ImageBundle, SignedImages, SignedImagesFound } from './policy/signed-images.js'
export { imageRuleName, signedImages } from './policy/signed-images.js'
export type {
  ClaimRule,
  ConfidentialSpaceRules,
  ImageSigner,
  PlatformRules,
  Policy,
  PolicyPlatforms,
  PolicyRole,
  PolicyWindow,
  SignedImageRule,
} from './policy/types.js'
export type {
  LeaseReturn,
  RefusalCode,
  Refused,
  Release,
  ReleaseChallenge,
  ReleaseEvidence,
  ReleaseHeader,
  ReleaseRequest,
  Withdrawal,
} from './release/messages.js'
export { SUITE } from './release/messages.js'
export type { NonceInput } from './release/nonce.js'
export { audience, releaseNonce } from './release/nonce.js'
export {
  MESSAGE_MAX_BYTES,
  parseLeaseReturn,
  parseRefused,
  parseRelease,
  parseReleaseChallenge,
  parseReleaseEvidence,
  parseReleaseRequest,
  parseWithdrawal,
  readMessage,
} from './release/parse.js'
export type {
  LeaseSecrets,
  OpenedShare,
  Receiver,
  SealContext,
  SealedShare,
  SealInput,
} from './release/seal.js'
export { generateReceiver, sealShare } from './release/seal.js'
export type {
  ExpectedRelease,
  RefusalContext,
  RefusalFields,
  ReleaseFields,
  WithdrawalFields,
} from './release/sign.js'
export {
  refusedHash,
  signRefusal,
  signRelease,
  signWithdrawal,
  verifyRefusal,
  verifyRelease,
  verifyWithdrawal,
} from './release/sign.js'
export { checkReleasedShare } from './shares/check.js'
export type { CommitmentInput } from './shares/commitment.js'
export { shareCommitment } from './shares/commitment.js'
export type { NetworkKeys } from './shares/keys.js'
export { deriveNetworkKeys } from './shares/keys.js'
export type { PieceHeader, SplitOptions } from './shares/pieces.js'
export { combinePieces, describePiece, splitSecret } from './shares/pieces.js'
export type { ShareProblem } from './shares/problem.js'
export { InvalidShareError, SHARE_PROBLEMS } from './shares/problem.js'
export { keyCommand } from './store/key-command.js'
export type { Lease, LeaseRelease } from './store/lease.js'
export type { CreateStoreOptions, OpenStoreOptions, StoreReading } from './store/open.js'
export { createStore, openStore, readStore } from './store/open.js'
export { moveToPostgres } from './store/postgres/move.js'
export type {
  CreatePostgresStoreOptions,
  PostgresStore,
  PostgresStoreOptions,
} from './store/postgres/postgres.js'
export { createPostgresStore, openPostgresStore } from './store/postgres/postgres.js'
export type { SealedRow, SealRowOptions } from './store/postgres/seal-row.js'
export { sealPostgresRow } from './store/postgres/seal-row.js'
export type {
  ParticipantStore,
  ReleaseClaim,
  ReplicaEars,
  Replicas,
  StoreAudit,
} from './store/replicas.js'
export type { KeyWrapper, SealedSecrets, StoreKdf, StoreLock } from './store/seal.js'
export { openSecrets, sealSecrets } from './store/seal.js'
export type { Decision, ParticipantState, ParticipantStateKeeper } from './store/state.js'
export { memoryState } from './store/state.js'
export type { NewEpoch, Store } from './store/store.js'
export type {
  AdvanceOptions,
  AskOptions,
  Consent,
  EndReason,
  JoinOptions,
  NetworkDtls,
  NetworkDtlsConnectOptions,
  NetworkDtlsServerOptions,
  NetworkEvents,
  NetworkTls,
  NetworkTlsConnectOptions,
  NetworkTlsServerOptions,
  ParticipantAddresses,
  ParticipantResolver,
  Progress,
  ProgressState,
  Redundancy,
  RetryOptions,
  WorkloadAudit,
  WorkloadLease,
} from './workload/index.js'
export {
  ADVANCE_DEFAULTS,
  InsufficientConsentError,
  JOIN_DEFAULTS,
  join,
  Network,
  RETRY_DEFAULTS,
} from './workload/index.js'
