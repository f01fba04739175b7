// The JSON Schema (draft 2020-12) of a policy file, as editors and other programs can use it; the same
// text is docs/policy.schema.json and is exported by the package. Each `description` completes the
// sentence "expected ...", since it is also what a person is told about a wrong value.

const digest = {
  type: 'string',
  pattern: '^sha256:[0-9a-f]{64}$',
  description: 'an image digest, `sha256:` and 64 lower-case hex digits; never a tag',
}

const name = (what: string, maxLength = 255) => ({
  type: 'string',
  minLength: 1,
  maxLength,
  pattern: '^[^\\u0000-\\u001f\\u007f]*$',
  description: `${what}: 1 to ${maxLength} characters without control characters`,
})

const environmentName = {
  type: 'string',
  pattern: '^(?!__proto__$)[A-Za-z_][A-Za-z0-9_]{0,127}$',
  description: "an environment variable's name: letters, digits and _, not beginning with a digit",
}

/** What the rules of every platform have. */
const platformRules = {
  projects: {
    type: 'array',
    items: name('a cloud project', 63),
    minItems: 1,
    maxItems: 64,
    uniqueItems: true,
    description: 'a list of 1 to 64 cloud projects',
  },
  args: {
    type: 'array',
    items: { type: 'string', maxLength: 4096, description: 'text of at most 4096 characters' },
    maxItems: 128,
    description: "the container's arguments, exactly: a list of at most 128",
  },
  env: {
    type: 'object',
    propertyNames: environmentName,
    additionalProperties: {
      type: ['string', 'null'],
      maxLength: 4096,
      description: 'the one allowed value (at most 4096 characters), or null for any',
    },
    maxProperties: 128,
    default: {},
    description: 'at most 128 environment variables allowed, each with its one value or null',
  },
  overrides: {
    type: 'object',
    additionalProperties: false,
    default: {},
    description: 'what the operator may change against the image: `args` and `env`',
    properties: {
      args: { type: 'boolean', default: false, description: 'true or false' },
      env: {
        type: 'array',
        items: environmentName,
        maxItems: 128,
        uniqueItems: true,
        default: [],
        description: 'a list of at most 128 names, each also in `env`',
      },
    },
  },
} as const

const hardware = {
  type: 'array',
  items: name('a hardware model (hwmodel), e.g. `GCP_INTEL_TDX`', 63),
  minItems: 1,
  maxItems: 16,
  uniqueItems: true,
  description: 'a list of 1 to 16 hardware models',
} as const

const issuers = {
  type: 'array',
  items: {
    type: 'string',
    pattern: '^[!-~]{1,255}$',
    description: 'an issuer, as evidence names it: 1 to 255 printable characters',
  },
  minItems: 1,
  maxItems: 16,
  uniqueItems: true,
  description: 'a list of 1 to 16 issuers',
} as const

/** And those of Confidential Space besides. */
const spaceRules = {
  hardware: { ...hardware, default: ['GCP_INTEL_TDX', 'GCP_AMD_SEV', 'GCP_AMD_SEV_ES'] },
  software: { ...name('the software (swname)', 63), default: 'CONFIDENTIAL_SPACE' },
  support: { ...name('the support attribute required', 63), default: 'STABLE' },
  serviceAccounts: {
    type: 'array',
    items: name('a service account'),
    minItems: 1,
    maxItems: 64,
    uniqueItems: true,
    description: 'a list of 1 to 64 service accounts; without the field any is allowed',
  },
} as const

const someTexts = {
  type: 'array',
  items: { type: 'string', maxLength: 4096, description: 'text of at most 4096 characters' },
  minItems: 1,
  maxItems: 64,
  uniqueItems: true,
  description: 'a list of 1 to 64 texts',
} as const

const oneField = (field: string, value: object) => ({
  type: 'object',
  additionalProperties: false,
  required: [field],
  properties: { [field]: value },
  description: CLAIM_RULE,
})

const CLAIM_RULE =
  'the one allowed value, a list of the allowed ones, {"atLeast": number} or {"includes": list}'

const claimRule = {
  anyOf: [
    { type: ['string', 'number', 'boolean'], maxLength: 4096, description: CLAIM_RULE },
    someTexts,
    oneField('atLeast', { type: 'integer', minimum: 0, description: 'an integer from 0' }),
    oneField('includes', someTexts),
  ],
  description: CLAIM_RULE,
}

const claims = {
  type: 'object',
  propertyNames: {
    type: 'string',
    pattern: '^(?!__proto__$)[A-Za-z0-9][A-Za-z0-9._-]{0,127}$',
    description: "a claim's name: letters, digits, dots, - and _",
  },
  additionalProperties: claimRule,
  maxProperties: 64,
  default: {},
  description: "at most 64 of the platform's own claims, each with its rule",
} as const

const platforms = {
  type: 'object',
  propertyNames: {
    type: 'string',
    pattern: '^[a-z0-9][a-z0-9.-]{0,62}$',
    description: "a platform's name, e.g. `amd-sev-snp`",
  },
  minProperties: 1,
  maxProperties: 16,
  description: 'rules for 1 to 16 platforms, by name',
  properties: {
    'confidential-space': {
      type: 'object',
      additionalProperties: false,
      required: ['projects', 'args'],
      description: 'the rules for Confidential Space',
      properties: { ...spaceRules, ...platformRules, claims },
    },
  },
  additionalProperties: {
    type: 'object',
    additionalProperties: false,
    description: 'the rules for one platform',
    properties: {
      hardware,
      issuers,
      ...platformRules,
      claims,
    },
  },
} as const

const role = {
  type: 'object',
  additionalProperties: false,
  required: ['images', 'attestation'],
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
