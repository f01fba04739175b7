// src/native/load.ts: a process that cannot have the addon is told so in one sentence.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { describe, expect, it } from 'vitest'
import { findAddon } from '../../src/native/find.js'
import { loadAddon, obstacleIn, type Runtime } from '../../src/native/load.js'
import { repositoryRoot, temporaryFolder } from '../support/paths.js'
import { run, typescript } from '../support/process.js'

const node: Runtime = {
  platform: 'linux',
  arch: 'x64',
  versions: { node: '20.20.2', openssl: '3.0.19' },
}

describe('native/load', () => {
  it.each([
    ['OpenSSL 3.0', node],
    [
      'OpenSSL 3.5 with a quic suffix',
      { ...node, versions: { node: '24.1.0', openssl: '3.5.8+quic' } },
    ],
    ['macOS', { ...node, platform: 'darwin', arch: 'arm64' }],
  ])('finds nothing in the way on %s', (_, runtime) => {
    expect(obstacleIn(runtime)).toBeUndefined()
  })

  it.each<[string, Runtime, RegExp]>([
    [
      'Electron',
      { ...node, versions: { ...node.versions, electron: '38.1.0' } },
      /this is electron 38\.1\.0/,
    ],
    ['Bun', { ...node, versions: { ...node.versions, bun: '1.3.0' } }, /this is bun 1\.3\.0/],
    [
      'BoringSSL',
      { ...node, versions: { node: '24.1.0', openssl: '0.0.0' } },
      /runs on OpenSSL 0\.0\.0/,
    ],
    [
      'OpenSSL 1.1',
      { ...node, versions: { node: '16.20.2', openssl: '1.1.1v' } },
      /OpenSSL 1\.1\.1v/,
    ],
    ['OpenSSL 4', { ...node, versions: { node: '30.0.0', openssl: '4.0.1' } }, /OpenSSL 4\.0\.1/],
    [
      'OpenSSL 30',
      { ...node, versions: { node: '99.0.0', openssl: '30.0.1' } },
      /OpenSSL 30\.0\.1/,
    ],
    [
      'no OpenSSL at all',
      { ...node, versions: { node: '24.1.0' } },
      /24\.1\.0 was built without OpenSSL/,
    ],
    ['Windows', { ...node, platform: 'win32' }, /this is win32: only mcbn\/psk works here/],
  ])('names the obstacle and a way out: %s', (_, runtime, says) => {
    const obstacle = obstacleIn(runtime)
    expect(obstacle).toMatch(says)
    expect(obstacle).not.toContain('\n')
    expect(obstacle).toMatch(/: (run|use|only) /)
  })

  it('loads once: the second call gives the same object, on this OpenSSL', () => {
    const addon = loadAddon()
    expect(loadAddon()).toBe(addon)
    expect(process.versions.openssl).toContain(addon.opensslVersion)
  })

  it.each<[string, string, RegExp]>([
    ['openssl 4', "{ openssl: '4.0.1' }", /runs on OpenSSL 4\.0\.1/],
    ['electron', "{ electron: '38.1.0' }", /this is electron 38\.1\.0/],
    ['bun', "{ bun: '1.3.0' }", /this is bun 1\.3\.0/],
  ])('throws MCBN_ADDON_UNAVAILABLE in a process that claims %s', async (_, change, says) => {
    const child = await attempt({}, change)
    expect(child.stdout, child.report()).toMatch(/^environment MCBN_ADDON_UNAVAILABLE /)
    expect(child.stdout).toMatch(says)
  })

  it('says what to put where when no binary is there: a bundle that lies alone', async () => {
    const folder = temporaryFolder()
    await bundle(
      join(repositoryRoot, 'src/native/load.ts'),
      join(folder, 'deep', 'down', 'load.mjs'),
    )
    // A run with an addon of choice names it for all its processes.
    const nothing = { MCBN_ADDON: '' }
    const child = await attempt(nothing, '{}', join(folder, 'deep', 'down', 'load.mjs'))
    expect(child.stdout, child.report()).toMatch(
      /MCBN_ADDON_UNAVAILABLE no compiled addon for .*put the package's folder prebuilds beside .*MCBN_ADDON/,
    )
  })

  it.each<[string, () => string | Uint8Array, RegExp]>([
    ['no binary', () => 'this is no shared object', /it is not a compiled addon/],
    ['one for another processor', () => ownBinary({ machine: 243 }), /it is for linux-riscv64, /],
    ['one for macOS', () => machO(0x0100000c), /it is for darwin-arm64, this is linux-/],
    ['one cut short', () => ownBinary({}).subarray(0, 60), /does not load/],
  ])('names the file that does not load, and what it is: %s', async (_, bytes, says) => {
    const file = join(temporaryFolder(), 'mcbn.node')
    writeFileSync(file, bytes())
    const child = await attempt({ MCBN_ADDON: file })
    expect(child.stdout, child.report()).toContain(`MCBN_ADDON_UNAVAILABLE the addon ${file}`)
    expect(child.stdout).toMatch(says)
    expect(child.stdout).toMatch(/; let MCBN_ADDON name the file .* cause: ERR_DLOPEN_FAILED\n$/)
  })

  it('looks for no other file when one is named', async () => {
    const child = await attempt({ MCBN_ADDON: join(temporaryFolder(), 'mcbn.node') })
    expect(child.stdout, child.report()).toMatch(
      /MCBN_ADDON_UNAVAILABLE .* is not there: MCBN_ADDON/,
    )
  })

  it('leaves mcbn/psk working where the addon cannot load', async () => {
    const program = `
      import { randomBytes } from 'node:crypto'
      import { derivePsk } from '${repositoryRoot}src/psk/index.ts'
      const shares = [randomBytes(32), randomBytes(32)]
      console.log(derivePsk(shares, { scheme: 'sha256-concat' }).length)`
    const child = await evaluate(program, { MCBN_ADDON: '/nowhere/mcbn.node' })
    expect(child.stdout, child.report()).toBe('32\n')
  })
})

/** Loads in a child whose process.versions were changed; prints kind, code, message and cause. */
async function attempt(
  env: Record<string, string>,
  versions = '{}',
  loader = `${repositoryRoot}src/native/load.ts`,
) {
  return await evaluate(
    `Object.defineProperty(process, 'versions', { value: { ...process.versions, ...${versions} } })
     const { loadAddon } = await import('${loader}')
     try {
       loadAddon()
       console.log('loaded')
     } catch (error) {
       console.log(error.kind, error.code, error.message, 'cause:', error.cause?.code ?? 'none')
     }`,
    env,
  )
}

async function evaluate(program: string, env: Record<string, string>) {
  const file = join(temporaryFolder(), 'program.mts')
  writeFileSync(file, program)
  return await run(process.execPath, typescript(file), { env })
}

/** This platform's addon, for another processor by its header. */
function ownBinary({ machine }: { readonly machine?: number }): Buffer {
  const bytes = readFileSync(findAddon() as string)
  if (machine !== undefined) bytes.writeUInt16LE(machine, 18)
  return bytes
}

/** Enough of a header to tell whose it is. */
function machO(cpu: number): Buffer {
  const bytes = Buffer.alloc(4_096)
  bytes.writeUInt32LE(0xfeedfacf, 0)
  bytes.writeUInt32LE(cpu, 4)
  return bytes
}

async function bundle(entry: string, outfile: string): Promise<void> {
  await build({ entryPoints: [entry], outfile, bundle: true, platform: 'node', format: 'esm' })
}
