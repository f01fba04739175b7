// The digest of an image of what runs here: this node, this package as it is installed, and the packages it needs.
// Nothing is fetched and nothing is written, so it takes a second. It is not an image that another machine can make again,
// as nobody has the same node and the same folder: for that there is `buildImage`.

import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { descriptorOf, jsonBlob } from './build.js'
import { MEDIA_TYPE } from './config.js'
import { packEntries, sha256 } from './layer.js'
import { readImageLock } from './lock.js'
import { filesBelow, PACKAGE_ROOT } from './own.js'
import { completed, type Entry, file } from './tree.js'

/** How this package runs: compiled, or its source by a loader. */
export type Form = 'compiled' | 'source'

/** The layers that all programs have in common. */
export interface RunningLayers {
  readonly layers: readonly { readonly digest: string; readonly size: number }[]
}

const LAYER = 'application/vnd.oci.image.layer.v1.tar'
/** What runs the source. */
const LOADER = ['tsx', 'esbuild', `@esbuild/${process.platform}-${process.arch}`, 'get-tsconfig']
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64' }

/** @param node - the program that runs. */
export async function runningLayers(form: Form, node = process.execPath): Promise<RunningLayers> {
  const { packages } = await readImageLock(PACKAGE_ROOT)
  const names = [...new Set(Object.values(packages).map(({ name }) => name))]
  const parts = [
    [file('usr/bin/node', await readFile(node), true)],
    await ownFiles(form),
    await packageFiles(form === 'source' ? [...names, ...LOADER] : names),
  ]
  const layers: { readonly digest: string; readonly size: number }[] = []
  for (const part of parts) {
    const tar = await packEntries(completed(part), 0)
    layers.push({ digest: `sha256:${sha256(tar)}`, size: tar.length })
  }
  return { layers }
}

/** The digest of the image that starts a program in it. @param args - what node is started with. */
export function runningDigest({ layers }: RunningLayers, args: readonly string[]): string {
  const config = jsonBlob(MEDIA_TYPE.config, {
    architecture: ARCHITECTURES[process.arch] ?? process.arch,
    os: process.platform,
    created: '1970-01-01T00:00:00Z',
    config: { Entrypoint: ['/usr/bin/node', ...args], WorkingDir: '/app' },
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
  })
  return jsonBlob(MEDIA_TYPE.manifest, {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.manifest,
    config: descriptorOf(config),
    layers: layers.map((layer) => ({ mediaType: LAYER, ...layer })),
  }).digest
}

async function ownFiles(form: Form): Promise<Entry[]> {
  const folders = [form === 'source' ? 'src' : 'dist', 'prebuilds', join('build', 'Release')]
  const entries = [file('app/package.json', await readFile(join(PACKAGE_ROOT, 'package.json')))]
  for (const folder of folders) {
    const names = await filesBelow(join(PACKAGE_ROOT, folder)).catch(() => [])
    for (const name of names) {
      // Of what a compiler left only the addon is loaded.
      if (folder.startsWith('build') && !/^[^/]+\.node$/.test(name)) continue
      entries.push(file(`app/${folder}/${name}`, await readFile(join(PACKAGE_ROOT, folder, name))))
    }
  }
  return entries
}

async function packageFiles(names: readonly string[]): Promise<Entry[]> {
  const entries: Entry[] = []
  for (const name of names) {
    const folder = await folderOf(name)
    if (folder === undefined) continue
    for (const path of await filesBelow(folder)) {
      if (path.startsWith('node_modules/')) continue
      entries.push(file(`app/node_modules/${name}/${path}`, await readFile(join(folder, path))))
    }
  }
  return entries
}

/** Where a package is, as Node.js looks for it from here; optional ones may be nowhere. */
async function folderOf(name: string): Promise<string | undefined> {
  const require = createRequire(join(PACKAGE_ROOT, 'package.json'))
  for (const folder of require.resolve.paths(name) ?? []) {
    const manifest = join(folder, name, 'package.json')
    if (await readFile(manifest).then(Boolean, () => false)) return dirname(manifest)
  }
  return undefined
}
