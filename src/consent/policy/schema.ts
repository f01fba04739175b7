// The JSON Schema (draft 2020-12) of a policy file, as editors and other programs can use it; the same
// text is docs/policy.schema.json and is exported by the package. Each `description` completes the
// sentence "expected ...", since it is also what a person is told about a wrong value.

import { name, platformRules, platforms, spaceRules } from './schema-platforms.js'

const digest = {
  type: 'string',
  pattern: '^sha256:[0-9a-f]{64}$',
  description: 'an image digest, `sha256:` and 64 lower-case hex digits; never a tag',
}

const signer = {
  type: 'object',
  additionalProperties: false,
  minProperties: 1,
  description: 'a signer: `publicKey`, or `identity` and `issuer`',
  properties: {
    publicKey: {
      type: 'string',
      maxLength: 4096,
      pattern: '^-----BEGIN PUBLIC KEY-----',
      description: 'a public key, PEM (Ed25519, EC or RSA), as text with \\n for the ends of lines',
    },
    identity: name('an identity, the whole of it: an address, or a URI', 512),
    issuer: name('an OpenID Connect issuer', 512),
  },
} as const

const signedImages = {
  type: 'array',
  minItems: 1,
  maxItems: 16,
  description: 'a list of 1 to 16 rules about signed images',
  items: {
    type: 'object',
    additionalProperties: false,
    required: ['subject', 'statement', 'signers'],
    description: 'a rule: `subject`, `statement`, `atLeast`, `signers`',
    properties: {
      subject: name('what the statements call the image'),
      statement: {
        enum: ['provenance', 'rebuilt'],
        description:
          "'provenance' (how it was made) or 'rebuilt' (that the signer has built it again, the same)",
      },
      atLeast: {
        type: 'integer',
        minimum: 1,
        maximum: 16,
        default: 1,
        description: 'an integer from 1 to 16: how many of `signers` it takes',
      },
      signers: {
        type: 'array',
        minItems: 1,
        maxItems: 16,
        items: signer,
        description: 'a list of 1 to 16 signers',
      },
    },
  },
} as const

const role = {
  type: 'object',
  additionalProperties: false,
  required: ['attestation'],
  description: 'the rules for one role',
  properties: {
    images: {
      type: 'array',
      items: digest,
      minItems: 1,
      maxItems: 256,
      uniqueItems: true,
      description: 'a list of 1 to 256 image digests, each also among those of the descriptor',
    },
    signedImages,
    attestation: {
      type: 'array',
      items: {
        type: 'string',
        pattern: '^[a-z0-9][a-z0-9.-]{0,62}$',
        description: 'a kind of evidence, e.g. `gcp-cs-oidc`',
      },
      minItems: 1,
      maxItems: 16,
      uniqueItems: true,
      description: 'a list of 1 to 16 kinds of evidence; `local` is for test issuers',
    },
    ...spaceRules,
    ...platformRules,
    platforms,
    rootsOfTrust: {
      type: 'integer',
      minimum: 1,
      maximum: 4,
      default: 1,
      description:
        'an integer from 1 to 4: how many roots of trust have to vouch for a workload at once',
    },
    instances: {
      type: 'integer',
      minimum: 1,
      maximum: 10000,
      default: 1,
      description: 'an integer from 1 to 10000: most live leases of this role at once',
    },
    approval: {
      enum: ['automatic', 'manual'],
      default: 'automatic',
      description: "'automatic' or 'manual': whether a person approves each workload first",
    },
  },
}

const time = {
  type: 'string',
  format: 'date-time',
  description: 'an RFC 3339 time, e.g. 2027-01-31T00:00:00Z',
}

const timeOfDay = {
  type: 'string',
  pattern: '^([01][0-9]|2[0-3]):[0-5][0-9]$',
  description: 'a UTC time of day, 00:00 to 23:59',
}

/** The JSON Schema of a policy file, draft 2020-12. */
export const POLICY_SCHEMA = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'mcbn/1 policy of a participant',
  type: 'object',
  additionalProperties: false,
  required: ['version', 'network', 'descriptorHash', 'roles'],
  description: 'an object: to whom, where and when one participant releases its share',
  properties: {
    $schema: { type: 'string', description: 'where this schema is, for editors' },
    version: { const: 'mcbn/1', description: "'mcbn/1'" },
    network: name("the network's name"),
    descriptorHash: {
      type: 'string',
      pattern: '^[0-9a-f]{64}$',
      description: 'the pinned hash of the descriptor: 64 lower-case hex digits',
    },
    predecessors: {
      type: 'array',
      items: {
        type: 'string',
        pattern: '^[0-9a-f]{64}$',
        description: "the hash of an earlier epoch's descriptor: 64 lower-case hex digits",
      },
      maxItems: 16,
      uniqueItems: true,
      default: [],
      description: 'a list of at most 16 hashes; machines started for them may move over',
    },
    roles: {
      type: 'object',
      additionalProperties: false,
      minProperties: 1,
      properties: { client: role, server: role },
      description: 'rules for `client`, `server` or both; a role without rules gets nothing',
    },
    window: {
      type: 'object',
      additionalProperties: false,
      description: 'when shares are released: `notBefore`, `notAfter`, `daily`, `days`',
      properties: {
        notBefore: time,
        notAfter: time,
        daily: {
          type: 'object',
          additionalProperties: false,
          required: ['from', 'to'],
          properties: { from: timeOfDay, to: timeOfDay },
          description: 'UTC times of day `from` (inclusive) and `to` (exclusive)',
        },
        days: {
          type: 'array',
          items: {
            enum: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'],
            description: 'mon, tue, wed, thu, fri, sat or sun',
          },
          minItems: 1,
          maxItems: 7,
          uniqueItems: true,
          description: 'a list of 1 to 7 days of the week, in UTC',
        },
      },
    },
    leaseSeconds: {
      type: 'integer',
      minimum: 5,
      maximum: 86400,
      default: 600,
      description: 'an integer from 5 to 86400 seconds',
    },
    tokenAgeSeconds: {
      type: 'integer',
      minimum: 1,
      maximum: 3600,
      default: 300,
      description: 'an integer from 1 to 3600 seconds',
    },
    trustedRoot: {
      type: 'object',
      description: "an object: Sigstore's trusted_root.json, for signers that are identities",
    },
    localIssuers: {
      type: 'array',
      maxItems: 16,
      description: 'a list of at most 16 test issuers, each with `issuer` and `jwks`',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['issuer', 'jwks'],
        description: 'a test issuer: `issuer` (URL) and `jwks` (its public keys)',
        properties: {
          issuer: {
            type: 'string',
            pattern: '^https?://[^\\s]{1,250}$',
            description: 'an http or https URL of at most 255 characters',
          },
          jwks: {
            type: 'object',
            additionalProperties: false,
            required: ['keys'],
            description: 'a JWK set (RFC 7517 section 5)',
            properties: {
              keys: {
                type: 'array',
                minItems: 1,
                maxItems: 16,
                description: 'a list of 1 to 16 public keys',
                items: {
                  type: 'object',
                  required: ['kty'],
                  maxProperties: 32,
                  description: 'a public key as JWK',
                  properties: {
                    kty: {
                      enum: ['RSA', 'EC', 'OKP'],
                      description: 'RSA, EC or OKP, never a secret',
                    },
                  },
                  // RFC 7518 section 6: the members of private and symmetric keys.
                  propertyNames: {
                    pattern: '^(?!(d|p|q|dp|dq|qi|oth|k|__proto__)$)',
                    description:
                      'members of a public key only; this file is no place for private ones',
                  },
                },
              },
            },
          },
        },
      },
    },
  },
} as const
