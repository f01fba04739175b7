// In a checkout dist/ may be older than src/: an image has to be made of the source that is there.

import { execFile } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { McbnError } from '../errors.js'

const run = promisify(execFile)
const COMPILE_MS = 300_000

/** A folder with the source compiled, named by what went in. @throws {McbnError} `MCBN_IMAGE_SOURCE_UNAVAILABLE`. */
export async function compiledSource(root: string): Promise<string> {
  const require = createRequire(join(root, 'package.json'))
  let typescript: string
  try {
    typescript = require.resolve('typescript/bin/tsc')
  } catch (cause) {
    throw new McbnError('MCBN_IMAGE_SOURCE_UNAVAILABLE', `${root}: run npm ci first`, { cause })
  }
  const { version } = require('typescript/package.json') as { readonly version: string }
  const kept = join(root, 'build', 'image')
  const folder = join(kept, await keyOf(root, version))
  if (existsSync(folder)) return folder
  await mkdir(kept, { recursive: true })
  const draft = join(kept, `.${randomUUID()}`)
  // Maps are not wanted, but the line that names them is in what a package has, and the bytes must be those.
  const args = ['-p', 'tsconfig.build.json', '--outDir', draft, '--declaration', 'false']
  try {
    await run(process.execPath, [typescript, ...args, '--declarationMap', 'false'], {
      cwd: root,
      timeout: COMPILE_MS,
    })
  } catch (cause) {
    await rm(draft, { recursive: true, force: true })
    throw new McbnError('MCBN_IMAGE_SOURCE_UNAVAILABLE', `${root}: src/ does not compile`, {
      cause,
    })
  }
  const { copyPage } = (await import(pathToFileURL(join(root, 'scripts/copy-page.mjs')).href)) as {
    copyPage(from: string, to: string): void
  }
  copyPage(join(root, 'src'), draft)
  // Somebody else may have been faster, with the same.
  await rename(draft, folder).catch(() => rm(draft, { recursive: true, force: true }))
  return folder
}

async function keyOf(root: string, version: string): Promise<string> {
  const hash = createHash('sha256').update(`typescript ${version}\n`)
  const sources = (await readdir(join(root, 'src'), { recursive: true, withFileTypes: true }))
    .filter((one) => one.isFile())
    .map((one) => relative(root, join(one.parentPath ?? one.path, one.name)))
  for (const name of ['tsconfig.json', 'tsconfig.build.json', 'package.json', ...sources.sort()]) {
    const body = await readFile(join(root, name))
    hash.update(`${name} ${body.length}\n`).update(body)
  }
  return hash.digest('hex')
}
