// The package as npm would install it, made of what is here: another path, compiled source, no tsx.

import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { compiledSource } from '../../src/image/checkout.js'
import { repositoryRoot } from '../support/paths.js'

/** @returns the command, to be run by node. */
export async function installedCommand(folder: string): Promise<string> {
  const installed = join(folder, 'node_modules', 'mcbn')
  mkdirSync(join(installed, 'build', 'Release'), { recursive: true })
  for (const name of ['package.json', 'LICENSE', 'image.lock', 'docs/policy.schema.json']) {
    cpSync(join(repositoryRoot, name), join(installed, name))
  }
  const addon = 'build/Release/mcbn.node'
  symlinkSync(join(repositoryRoot, addon), join(installed, addon))
  cpSync(await compiledSource(repositoryRoot), join(installed, 'dist'), { recursive: true })
  for (const folder of leftOut()) rmSync(join(installed, folder), { recursive: true })
  symlinkSync(join(repositoryRoot, 'node_modules'), join(installed, 'node_modules'))
  return join(installed, 'dist', 'cli', 'main.js')
}

/** What package.json tells npm to leave out of dist/. */
function leftOut(): string[] {
  const { files } = JSON.parse(readFileSync(join(repositoryRoot, 'package.json'), 'utf8')) as {
    readonly files: readonly string[]
  }
  return files.filter((pattern) => pattern.startsWith('!dist/')).map((pattern) => pattern.slice(1))
}
