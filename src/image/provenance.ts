// How an image was made: an in-toto statement with SLSA's predicate. A second build gives the same statement
// except for `runDetails`; the signature says who claims it.
// https://slsa.dev/spec/v1.1/provenance, https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md

import { type Statement, statementAbout } from '../signatures/statement.js'
import type { BuiltImage } from './build.js'
import { type NpmPackage, sha512Of } from './lock.js'
import { purlOf } from './sbom.js'

/** How `externalParameters` are to be read: the options of `mcbn image build`. */
const BUILD_TYPE = 'https://www.npmjs.com/package/mcbn#image-build-v1'
const BUILDER = 'https://www.npmjs.com/package/mcbn#image-build'

export function statementOf(image: BuiltImage): Statement<'provenance'> {
  const { digest, role, platform, created, materials } = image
  const { version, app } = materials
  return statementAbout('provenance', subjectOf(image), digest, {
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
  })
}

/**
 * That somebody has built an image again, and got the same bytes. Signed, it is one reviewer's word.
 *
 * @param image - as it was built again here.
 */
export function rebuiltStatementOf(image: BuiltImage): Statement<'rebuilt'> {
  const { digest, role, platform, created, materials } = image
  const { version, app } = materials
  return statementAbout('rebuilt', subjectOf(image), digest, {
    role,
    platform,
    sourceDateEpoch: created,
    ...(app !== undefined && { app: `${app.name}@${app.version}` }),
    by: { mcbn: version, node: process.versions.node },
  })
}

/** What a statement calls an image: its program, or mcbn's own for a role. */
function subjectOf({ role, materials: { app } }: BuiltImage): string {
  return app?.name ?? `mcbn-${role}`
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
