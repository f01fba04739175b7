// What is signed about an image: an in-toto statement. Its predicate says which kind it is, and a signature under
// one kind is none under another.
// https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md

import { McbnError } from '../errors.js'

export const STATEMENT_TYPE = 'application/vnd.in-toto+json'
const TYPE = 'https://in-toto.io/Statement/v1'

/** How an image was made; that somebody has made it again, and got the same. */
export const PREDICATES = {
  provenance: 'https://slsa.dev/provenance/v1',
  rebuilt: 'https://www.npmjs.com/package/mcbn#image-rebuilt-v1',
} as const

export type StatementKind = keyof typeof PREDICATES

export interface Statement<Kind extends StatementKind = StatementKind> {
  readonly _type: typeof TYPE
  readonly subject: readonly {
    readonly name: string
    readonly digest: { readonly sha256: string }
  }[]
  readonly predicateType: (typeof PREDICATES)[Kind]
  readonly predicate: object
}

const IN_WORDS: Readonly<Record<StatementKind, string>> = {
  provenance: "an in-toto statement (v1) with SLSA's predicate (v1)",
  rebuilt: 'an in-toto statement (v1) that an image was built again',
}

/** @param digest - `sha256:` and 64 hex digits. */
export function statementAbout<Kind extends StatementKind>(
  kind: Kind,
  name: string,
  digest: string,
  predicate: object,
): Statement<Kind> {
  const sha256 = digest.slice('sha256:'.length)
  return {
    _type: TYPE,
    subject: [{ name, digest: { sha256 } }],
    predicateType: PREDICATES[kind],
    predicate,
  }
}

/** @throws {McbnError} `MCBN_IMAGE_INVALID` for text that is no statement of this kind. */
export function parseStatement<Kind extends StatementKind>(
  text: string,
  kind: Kind,
): Statement<Kind> {
  const { _type, predicateType, subject } = objectOf(text) as Partial<Statement>
  const right =
    _type === TYPE &&
    predicateType === PREDICATES[kind] &&
    Array.isArray(subject) &&
    subject.every(
      (one) => typeof one?.name === 'string' && /^[0-9a-f]{64}$/.test(one.digest?.sha256),
    )
  if (right) return JSON.parse(text) as Statement<Kind>
  throw new McbnError(
    'MCBN_IMAGE_INVALID',
    `${kind}: expected ${IN_WORDS[kind]} and subjects by name and SHA-256`,
  )
}

/** @throws {McbnError} `MCBN_IMAGE_INVALID` where a statement is about other images. */
export function expectAbout({ subject }: Statement, digest: string): void {
  const named = subject.map((one) => `sha256:${one.digest.sha256}`)
  if (named.includes(digest)) return
  throw new McbnError(
    'MCBN_IMAGE_INVALID',
    `provenance: expected a statement about ${digest}, got one about ${named.join(', ') || 'nothing'}`,
  )
}

function objectOf(text: string): object {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}
