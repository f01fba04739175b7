// Everything that parses what strangers, people or files say, with what it may answer: a value, or one of
// its errors.

import { generateKeyPairSync, sign } from 'node:crypto'
import { formatTarget, parseTarget } from '../../src/cli/url.js'
import { createGcpOidcVerifier, GCP_CS_ISSUER } from '../../src/consent/attestation/gcp-oidc.js'
import { createGcpPkiVerifier } from '../../src/consent/attestation/gcp-pki.js'
import { readKeySet } from '../../src/consent/attestation/jwks.js'
import { confidentialSpaceClaims } from '../../src/consent/attestation/local/claims.js'
import { createLocalVerifier } from '../../src/consent/attestation/local/verifier.js'
import { checkLine } from '../../src/consent/audit/chain.js'
import { canonicalBytes, parseCanonical } from '../../src/consent/base/canonical.js'
import { generateParticipantKeys } from '../../src/consent/base/keys.js'
import { parseMessage } from '../../src/consent/ceremony/messages.js'
import { parsePlan, planBytes } from '../../src/consent/ceremony/plan.js'
import { cardBytes, parseCard } from '../../src/consent/ceremony/state.js'
import { parseDescriptor } from '../../src/consent/descriptor/descriptor.js'
import {
  parseSignedDescriptor,
  verifySignedDescriptor,
} from '../../src/consent/descriptor/signed.js'
import { examplePolicy } from '../../src/consent/policy/example.js'
import { parseStrictJson } from '../../src/consent/policy/json.js'
import { parsePolicy } from '../../src/consent/policy/parse.js'
import {
  parseRefused,
  parseRelease,
  parseReleaseChallenge,
  parseReleaseEvidence,
  parseReleaseRequest,
  parseWithdrawal,
  readMessage,
} from '../../src/consent/release/parse.js'
import { parseParticipant, parseState } from '../../src/consent/store/documents.js'
import { decodeSecrets, encodeSecrets } from '../../src/consent/store/secrets.js'
import { parseHealth } from '../../src/discovery/consul-health.js'
import { parseEndpoint } from '../../src/discovery/endpoint.js'
import { importPsk, PSK_FILE_FORMATS, parseKeyText, parsePskFile } from '../../src/psk/index.js'
import { openBundle } from '../../src/signatures/bundle.js'
import { STATEMENT_TYPE } from '../../src/signatures/statement.js'
import { everybody, table } from '../consent/ceremony/rehearsal.js'
import { testNetwork } from '../consent/network.js'
import { issuer, workloadOf } from '../consent/participant/fixture.js'
import { b64, RELEASE, REQUEST } from '../consent/release/samples.js'

/** What a parser is made for; all else that it throws is a defect. */
type Expected = readonly string[]

interface Common {
  readonly name: string
  /** Codes of McbnError, or names of error classes. */
  readonly errors: Expected
  /** Throws what the parser throws; checks itself what is said about values that were accepted. */
  readonly shows?: readonly string[]
}

export type Target = Common &
  (
    | { readonly kind: 'bytes'; readonly seeds: readonly Uint8Array[]; run(input: Buffer): unknown }
    | { readonly kind: 'text'; readonly seeds: readonly string[]; run(input: string): unknown }
    | { readonly kind: 'json'; readonly seeds: readonly unknown[]; run(input: unknown): unknown }
  )

const K = '00112233445566778899aabbccddeeff'
const J = 'ffeeddccbbaa99887766554433221100'
const utf8 = (value: unknown) => Buffer.from(JSON.stringify(value))

const people = table('n-of-n', 3)
const thresholdPeople = table('t-of-n', 4, 2)
const network = testNetwork()
const threshold = testNetwork({ t: 2 })

const HEALTH = [
  {
    Node: { Address: '192.0.2.1' },
    Service: { Address: '', Port: 8081, Weights: { Passing: 10, Warning: 1 } },
    Checks: [{ Status: 'passing' }],
  },
  { Node: {}, Service: { Address: 'host.example', Port: 1 }, Checks: [] },
]

const message = (parse: (source: unknown) => unknown, name: string, seed: unknown): Target => ({
  name: `consent/release: ${name}`,
  kind: 'json',
  seeds: [seed],
  errors: ['MCBN_RELEASE_INVALID'],
  run: parse,
})

/** Messages of a whole ceremony's first round, as bytes. */
const ceremonyMessages = [...everybody(people).values()].flatMap((one) =>
  one.outgoing().map(({ bytes }) => Buffer.from(bytes)),
)

const claims = { aud: 'a', iss: issuer.issuer, exp: 4_000_000_000, iat: 1, nbf: 1, eat_nonce: 'n' }
const tokens = [
  await issuer.mint(claims),
  await issuer.mint({ ...claims, submods: { container: {} } }),
]
const confidentialSpace = confidentialSpaceClaims({
  audience: 'a',
  nonces: ['n'],
  workload: workloadOf('client'),
  now: 1_800_000_000_000,
})
const expected = { audience: 'a', nonce: 'n', now: 1_800_000_000_000 }
const local = createLocalVerifier({ issuers: [{ issuer: issuer.issuer, jwks: issuer.jwks() }] })
const googles = { ...claims, iss: GCP_CS_ISSUER }
const oidcTokens = [await issuer.mint(googles)]
const pkiTokens = [await issuer.mint(googles, 'PKI')]
const pki = createGcpPkiVerifier({ roots: [await issuer.rootCertificate()] })
const oidc = createGcpOidcVerifier({
  fetch: async () => new Response(JSON.stringify(issuer.jwks())),
})
const pair = generateKeyPairSync('ed25519')
const publicPem = pair.publicKey.export({ format: 'pem', type: 'spki' }).toString()

export const TARGETS: readonly Target[] = [
  ...([undefined, ...PSK_FILE_FORMATS] as const).map(
    (format): Target => ({
      name: `psk: a key file, ${format ?? 'no format'}`,
      kind: 'text',
      seeds: [
        `a:${K}\n# note\nb:${J}\n`,
        `#6162:${K}\r\n\r\nurn:x:hex:${J}`,
        `caf\u00e9:ascii:correct horse battery\n`,
        `a:${K}:${J}\na:${K.replace(/..(?=.)/g, '$&:')}\n`,
      ],
      errors: ['MCBN_PSK_FILE_INVALID'],
      shows: [K, J, 'correct horse'],
      run: (text) => {
        for (const [identity, key] of parsePskFile(text, format === undefined ? {} : { format })) {
          if (identity === '' || key.length < 16 || key.length > 512) throw new Error('a bad entry')
        }
      },
    }),
  ),
  {
    name: 'psk: a typed key',
    kind: 'text',
    seeds: [K, `hex:${K}`, 'ascii:correct horse battery'],
    errors: ['MCBN_KEY_INVALID'],
    shows: [K, 'correct horse'],
    run: (text) => parseKeyText(text),
  },
  {
    name: 'psk: what importPsk is given',
    kind: 'json',
    seeds: [{ identity: 'a', context: 'c', targetProtocol: 'TLSv1.3', targetKdf: 'sha256' }],
    errors: [
      'MCBN_OPTION_RANGE',
      'MCBN_OPTION_TYPE',
      'MCBN_OPTION_UNKNOWN',
      'MCBN_IDENTITY_INVALID',
      'MCBN_KEY_INVALID',
    ],
    run: (options) =>
      importPsk(
        options !== null && typeof options === 'object' && !Array.isArray(options)
          ? ({ ...options, key: Buffer.alloc(32, 7) } as never)
          : (options as never),
      ),
  },
  {
    name: 'cli: a URL',
    kind: 'text',
    seeds: [
      'tls://127.0.0.1:8081',
      'dtls://localhost:0',
      'tls://[::1]:8081/',
      'dtls://a_b.example.:1',
    ],
    errors: ['UsageError'],
    run: (text) => {
      const target = parseTarget(text)
      const again = parseTarget(formatTarget(target))
      if (JSON.stringify(again) !== JSON.stringify(target))
        throw new Error('reads back differently')
    },
  },
  {
    name: 'discovery: an answer of Consul',
    kind: 'json',
    seeds: [HEALTH],
    errors: ['Error'],
    run: (body) => {
      if (!Array.isArray(body)) return
      for (const endpoint of parseHealth(body).endpoints) {
        if (typeof parseEndpoint(endpoint) === 'string') throw new TypeError('an unusable endpoint')
      }
    },
  },
  message(parseReleaseRequest, 'request', REQUEST),
  message(parseReleaseChallenge, 'challenge', { c: b64(32), expires: 1_767_225_600 }),
  message(parseReleaseEvidence, 'evidence', {
    c: b64(32),
    request: { ...REQUEST, renews: b64(32) },
    evidence: { kind: 'gcp-cs-oidc', token: 'aa.bb.c-_' },
  }),
  message(parseRelease, 'release', RELEASE),
  message(parseRefused, 'refusal', {
    label: 'bob',
    code: 'manual',
    retryAfter: 5,
    signature: b64(64),
  }),
  message(parseWithdrawal, 'withdrawal', {
    v: 'mcbn/1',
    label: 'bob',
    dh: b64(32),
    withdrawnAt: 7,
    signature: b64(64),
  }),
  {
    name: 'consent/release: JSON as it comes',
    kind: 'bytes',
    seeds: [utf8(REQUEST), utf8(RELEASE)],
    errors: ['MCBN_RELEASE_INVALID'],
    run: readMessage,
  },
  {
    name: 'consent: canonical JSON',
    kind: 'bytes',
    seeds: [canonicalBytes(REQUEST), canonicalBytes(network.descriptor)],
    errors: ['NotCanonical'],
    run: (bytes) => {
      const value = parseCanonical(bytes)
      if (value === null || typeof value !== 'object') return
      if (!canonicalBytes(value).equals(bytes)) throw new Error('two spellings of one document')
    },
  },
  {
    name: 'consent: a descriptor',
    kind: 'json',
    seeds: [network.descriptor, threshold.descriptor],
    errors: ['MCBN_DESCRIPTOR_INVALID'],
    run: parseDescriptor,
  },
  {
    name: 'consent: a signed descriptor, and its signatures',
    kind: 'json',
    seeds: [network.signed, threshold.signed],
    errors: ['MCBN_DESCRIPTOR_INVALID'],
    run: (value) => {
      const { hashHex } = verifySignedDescriptor(parseSignedDescriptor(value))
      // Whatever was changed on the way here, only what all have signed passes.
      if (hashHex !== network.verified.hashHex && hashHex !== threshold.verified.hashHex) {
        throw new Error('a descriptor that nobody signed')
      }
    },
  },
  {
    name: 'consent: a signed descriptor as a file',
    kind: 'bytes',
    seeds: [utf8(network.signed)],
    errors: ['MCBN_DESCRIPTOR_INVALID'],
    run: (bytes) => parseSignedDescriptor(bytes),
  },
  {
    name: 'consent: a policy',
    kind: 'json',
    seeds: [policySeed()],
    errors: ['MCBN_POLICY_INVALID'],
    run: parsePolicy,
  },
  {
    name: 'consent: a policy as a file',
    kind: 'bytes',
    seeds: [utf8(policySeed())],
    errors: ['MCBN_POLICY_INVALID'],
    run: (bytes) => parsePolicy(bytes),
  },
  {
    name: 'consent: strict JSON',
    kind: 'bytes',
    seeds: [utf8(policySeed()), Buffer.from('{"a": [1, 2.5e3, "\\u00e9", null, true]}')],
    errors: ['MCBN_POLICY_INVALID', 'StrictJsonError', 'Error'],
    run: (bytes) => parseStrictJson(bytes, 100_000),
  },
  {
    name: 'consent/ceremony: a plan',
    kind: 'bytes',
    seeds: [planBytes(people.plan), planBytes(thresholdPeople.plan)],
    errors: ['MCBN_CEREMONY_INVALID'],
    run: parsePlan,
  },
  {
    name: 'consent/ceremony: a plan, field by field',
    kind: 'json',
    seeds: [people.plan.document, thresholdPeople.plan.document],
    errors: ['MCBN_CEREMONY_INVALID', 'NotCanonical'],
    run: (value) => {
      if (value === null || typeof value !== 'object') return
      parsePlan(canonicalBytes(value))
    },
  },
  {
    name: 'consent/ceremony: a message',
    kind: 'bytes',
    seeds: ceremonyMessages,
    errors: ['MCBN_CEREMONY_INVALID', 'MCBN_CEREMONY_CHEATED'],
    run: (bytes) => parseMessage(bytes, people.plan),
  },
  {
    name: 'consent/ceremony: a card',
    kind: 'bytes',
    seeds: [cardBytes({ label: 'alice', ...cardKeys() })],
    errors: ['MCBN_CEREMONY_INVALID'],
    run: parseCard,
  },
  {
    name: 'consent/store: participant.json',
    kind: 'bytes',
    seeds: [utf8({ version: 'mcbn/1', label: 'alice', keys: cardKeys() })],
    errors: ['MCBN_STORE_INVALID'],
    run: parseParticipant,
  },
  {
    name: 'consent/store: state.json',
    kind: 'bytes',
    seeds: [
      utf8({ version: 'mcbn/1', descriptorHash: 'ab'.repeat(32), decisions: [] }),
      utf8({ version: 'mcbn/1', decisions: [{ role: 'client', verdict: 'approve', at: 1 }] }),
    ],
    errors: ['MCBN_STORE_INVALID'],
    run: parseState,
  },
  {
    name: 'consent/store: secrets, once opened',
    kind: 'bytes',
    seeds: [
      encodeSecrets({ keys: generateParticipantKeys(), stored: undefined }),
      encodeSecrets({
        keys: generateParticipantKeys(),
        stored: { descriptorHash: Buffer.alloc(32, 1), share: Buffer.alloc(32, 2) },
      }),
    ],
    // A seed of equal bytes is no key, no matter who sealed it.
    errors: ['MCBN_STORE_INVALID', 'MCBN_KEY_INVALID'],
    run: decodeSecrets,
  },
  {
    name: 'consent/audit: a line',
    kind: 'bytes',
    seeds: [canonicalBytes({ seq: 1, time: '2026-01-01T00:00:00.000Z', event: 'start', prev: '' })],
    errors: ['MCBN_AUDIT_BROKEN'],
    run: (bytes) => checkLine({ lines: 0, head: '' }, bytes),
  },
  {
    name: 'consent/attestation: a key set',
    kind: 'json',
    seeds: [issuer.jwks()],
    errors: ['NotAKeySet'],
    run: readKeySet,
  },
  ...tokenTargets(),
  {
    name: 'image: a signed statement',
    kind: 'json',
    seeds: [signedBundle()],
    errors: ['MCBN_IMAGE_INVALID'],
    run: (value) => openBundle(JSON.stringify(value) ?? '', publicPem),
  },
]

function policySeed(): unknown {
  return JSON.parse(JSON.stringify(examplePolicy(network.verified)))
}

/** A statement in a DSSE envelope, as Sigstore's tools write it. */
function signedBundle(): unknown {
  const statement = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: 'server', digest: { sha256: 'ab'.repeat(32) } }],
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {},
  }
  const payload = Buffer.from(JSON.stringify(statement))
  const signed = Buffer.from(
    `DSSEv1 ${STATEMENT_TYPE.length} ${STATEMENT_TYPE} ${payload.length} ${payload}`,
  )
  return {
    dsseEnvelope: {
      payload: payload.toString('base64'),
      payloadType: STATEMENT_TYPE,
      signatures: [{ sig: sign(null, signed, pair.privateKey).toString('base64') }],
    },
  }
}

function cardKeys() {
  const { ed25519, x25519 } = people.plan.participant('alice')
  return { ed25519, x25519 }
}

/** Tokens as text, and claims changed before an issuer signs them, which get past the signature. */
function tokenTargets(): Target[] {
  const kinds = [
    ['local', local, tokens],
    ['gcp-cs-oidc', oidc, oidcTokens],
    ['gcp-cs-pki', pki, pkiTokens],
  ] as const
  const texts = kinds.map(
    ([kind, verifier, seeds]): Target => ({
      name: `consent/attestation: a token, ${kind}`,
      kind: 'text',
      seeds,
      errors: ['MCBN_EVIDENCE_REFUSED'],
      run: (token) => verifier.verify({ kind, token }, expected),
    }),
  )
  const signed: Target = {
    name: 'consent/attestation: signed claims',
    kind: 'json',
    seeds: [claims, confidentialSpace],
    errors: ['MCBN_EVIDENCE_REFUSED'],
    run: async (changed) => {
      if (changed === null || typeof changed !== 'object' || Array.isArray(changed)) return
      const token = await issuer.mint(changed as Record<string, unknown>)
      await local.verify({ kind: 'local', token }, expected)
    },
  }
  return [...texts, signed]
}
