// A bill of materials of an image, in CycloneDX 1.6: what a scanner compares with lists of known defects.
// https://cyclonedx.org/docs/1.6/json/

import { createHash } from 'node:crypto'
import type { BuiltImage } from './build.js'
import { ARCHITECTURE, type NpmPackage, sha512Of } from './lock.js'
import { bytewise } from './tree.js'

interface Component {
  readonly type: 'application' | 'library' | 'container'
  readonly 'bom-ref': string
  readonly name: string
  readonly version: string
  readonly purl?: string
  readonly hashes?: readonly { readonly alg: 'SHA-256' | 'SHA-512'; readonly content: string }[]
}

/** The same for the same image: its number follows from the digest, its time is the image's. */
export function sbomOf(image: BuiltImage): object {
  const { digest, created, role, materials } = image
  const { version, app } = materials
  const components = componentsOf(image)
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${uuidOf(digest)}`,
    version: 1,
    metadata: {
      timestamp: new Date(created * 1_000).toISOString(),
      tools: { components: [{ type: 'application', name: 'mcbn', version }] },
      component: {
        type: 'container',
        'bom-ref': digest,
        name: app?.name ?? `mcbn-${role}`,
        version: digest,
        hashes: [{ alg: 'SHA-256', content: digest.slice('sha256:'.length) }],
      } satisfies Component,
    },
    components,
    dependencies: [{ ref: digest, dependsOn: components.map((one) => one['bom-ref']) }],
  }
}

function componentsOf({ platform, materials }: BuiltImage): Component[] {
  const { lock, app, addon, version } = materials
  const components = new Map<string, Component>()
  const add = (component: Component) => components.set(component['bom-ref'], component)
  for (const { name, version: installed, sha256 } of lock.debian[platform]) {
    const purl = `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(installed)}?arch=${ARCHITECTURE[platform].debian}&distro=bookworm`
    add(component('library', name, installed, purl, [{ alg: 'SHA-256', content: sha256 }]))
  }
  add(ofNpm(lock.node[platform], 'application'))
  if (addon !== undefined) {
    const hashes = [{ alg: 'SHA-256', content: addon.sha256 }] as const
    add(component('library', 'mcbn', version, purlOf('mcbn', version)))
    add(component('library', 'mcbn.node', version, `${purlOf('mcbn', version)}#mcbn.node`, hashes))
    for (const one of Object.values(lock.packages)) add(ofNpm(one, 'library'))
  }
  for (const one of app?.packages ?? []) add(ofNpm(one, 'library'))
  if (app !== undefined) {
    add(component('application', app.name, app.version, purlOf(app.name, app.version)))
  }
  return [...components.values()].sort((left, right) => bytewise(left['bom-ref'], right['bom-ref']))
}

function ofNpm(one: NpmPackage, type: Component['type']): Component {
  const purl = purlOf(one.name, one.version)
  return component(type, one.name, one.version, purl, [{ alg: 'SHA-512', content: sha512Of(one) }])
}

function component(
  type: Component['type'],
  name: string,
  version: string,
  purl: string,
  hashes?: Component['hashes'],
): Component {
  return { type, 'bom-ref': purl, name, version, purl, ...(hashes !== undefined && { hashes }) }
}

/** https://github.com/package-url/purl-spec: the `@` of a scope is encoded. */
export function purlOf(name: string, version: string): string {
  return `pkg:npm/${name.replace(/^@/, '%40')}@${encodeURIComponent(version)}`
}

/** Version 8 of RFC 9562: the bits are ours, here those of a hash. */
function uuidOf(digest: string): string {
  const bytes = createHash('sha256').update(`mcbn image ${digest}`).digest().subarray(0, 16)
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6)
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8)
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
