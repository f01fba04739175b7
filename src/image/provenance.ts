// How an image was made: an in-toto statement with SLSA's predicate. A second build gives the same statement
// except for `runDetails`; the signature says who claims it.
// https://slsa.dev/spec/v1.1/provenance, https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md

import { McbnError } from '../errors.js'
import type { BuiltImage } from './build.js'
import { type NpmPackage, sha512Of } from './lock.js'
import { purlOf } from './sbom.js'

export const STATEMENT_TYPE = 'application/vnd.in-toto+json'

export interface Statement {
  readonly _type: 'https://in-toto.io/Statement/v1'
  readonly subject: readonly {
    readonly name: string
    readonly digest: { readonly sha256: string }
  }[]
  readonly predicateType: 'https://slsa.dev/provenance/v1'
  readonly predicate: object
}

/** How `externalParameters` are to be read: the options of `mcbn image build`. */
const BUILD_TYPE = 'https://www.npmjs.com/package/mcbn#image-build-v1'
const BUILDER = 'https://www.npmjs.com/package/mcbn#image-build'

export function statementOf(image: BuiltImage): Statement {
  const { digest, role, platform, created, materials } = image
  const { version, app } = materials
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [
      { name: app?.name ?? `mcbn-${role}`, digest: { sha256: digest.slice('sha256:'.length) } },
    ],
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType: BUILD_TYPE,
        externalParameters: {
          role,
          platform,
          sourceDateEpoch: created,
          ...(app !== undefined && { app: `${app.name}@${app.version}` }),
        },
        internalParameters: {},
        resolvedDependencies: dependenciesOf(image),
      },
      runDetails: {
        builder: { id: BUILDER, version: { mcbn: version, node: process.versions.node } },
      },
    },
  }
}

/** @throws {McbnError} `MCBN_IMAGE_INVALID` for text that is no statement of how something was made. */
export function parseStatement(text: string): Statement {
  const { _type, predicateType, subject } = objectOf(text) as Partial<Statement>
  const right =
    _type === 'https://in-toto.io/Statement/v1' &&
    predicateType === 'https://slsa.dev/provenance/v1' &&
    Array.isArray(subject) &&
    subject.every((one) => /^[0-9a-f]{64}$/.test(one?.digest?.sha256))
  if (right) return JSON.parse(text) as Statement
  throw new McbnError(
    'MCBN_IMAGE_INVALID',
    "provenance: expected an in-toto statement (v1) with SLSA's predicate (v1) and subjects by SHA-256",
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

function dependenciesOf({ platform, layers, materials }: BuiltImage): object[] {
  const { lock, app, addon, version } = materials
  const ofNpm = (one: NpmPackage) => ({
    uri: purlOf(one.name, one.version),
    digest: { sha512: sha512Of(one) },
  })
  return [
    ...lock.debian[platform].map(({ name, version: installed, sha256 }) => ({
      uri: `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(installed)}`,
      digest: { sha256 },
    })),
    ofNpm(lock.node[platform]),
    ...(addon === undefined
      ? []
      : [
          { uri: `${purlOf('mcbn', version)}#mcbn.node`, digest: { sha256: addon.sha256 } },
          ...Object.values(lock.packages).map(ofNpm),
        ]),
    ...(app?.packages ?? []).map(ofNpm),
    // What came from folders: the layers that hold it.
    ...layers.map(({ title, diffId }) => ({
      name: title,
      digest: { sha256: diffId.slice('sha256:'.length) },
    })),
  ]
}
