// The part of the JSON Schema that is about platforms: what a role may ask of a machine, and of each kind of it.

/** @param what - completes "expected ...". */
export const name = (what: string, maxLength = 255) => ({
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
export const platformRules = {
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
export const spaceRules = {
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

export const platforms = {
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
