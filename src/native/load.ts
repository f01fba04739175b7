// Finds and loads the addon, or says in one sentence why this process cannot have it.
//
// Loaded on first use, not on import: mcbn/psk works without it.

import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { McbnError } from '../errors.js'
import type { NativeContext, NativeContextOptions, NativeKeyTable } from './contract.js'
import type { NativeAdmissionConstructor, NativeIoThreadConstructor } from './dtls.js'
import type { NativeTlsSessionConstructor } from './tls.js'

/** What native/addon.cc exports. */
export interface NativeAddon {
  readonly Admission: NativeAdmissionConstructor
  readonly IoThread: NativeIoThreadConstructor
  readonly Context: new (options: NativeContextOptions) => NativeContext
  readonly KeyTable: new () => NativeKeyTable
  readonly TlsSession: NativeTlsSessionConstructor
  /** For example `3.0.19`: the running process's own, not the headers'. */
  readonly opensslVersion: string
}

/** The facts about a process that decide whether the addon can work in it. */
export interface Runtime {
  readonly platform: string
  readonly arch: string
  readonly versions: Readonly<Record<string, string | undefined>>
}

const require = createRequire(import.meta.url)

/** Two levels up, both from src/native/ and from dist/native/. */
const PACKAGE_ROOT = fileURLToPath(new URL('../../', import.meta.url))

let loaded: NativeAddon | undefined

/**
 * The addon, loaded once for each thread.
 *
 * Looked for in `build/Release`, then in `prebuilds/`; the environment variable `MCBN_PREBUILD`
 * names another folder to look in (node-gyp-build's rule; the sanitizer runs use it).
 *
 * @throws {McbnError} `MCBN_ADDON_UNAVAILABLE` when this is not Node.js with OpenSSL 3 on Linux or
 * macOS, or when no binary for it is found or loads; the loader's own error is the `cause`.
 */
export function loadAddon(): NativeAddon {
  if (loaded) return loaded
  const obstacle = obstacleIn(process)
  if (obstacle) throw new McbnError('MCBN_ADDON_UNAVAILABLE', obstacle)
  const nodeGypBuild = require('node-gyp-build') as NodeGypBuild
  const path = found(() => nodeGypBuild.resolve(PACKAGE_ROOT))
  loaded = opened(path, () => require(path) as NativeAddon)
  return loaded
}

/**
 * Why `runtime` cannot load the addon: one sentence for a person; `undefined` when it should work.
 *
 * Asked before the binary is touched, because the dynamic linker's own answer (a missing symbol, or
 * a crash in a process whose OpenSSL has another layout) helps nobody.
 */
export function obstacleIn(runtime: Runtime): string | undefined {
  const { platform, versions } = runtime
  const needed = 'mcbn needs Node.js >= 20.19 with its own OpenSSL 3'
  for (const name of ['bun', 'electron'] as const) {
    const version = versions[name]
    if (version !== undefined) {
      return `${needed}; this is ${name} ${version}, which does not carry it: run this part in a Node.js process`
    }
  }
  const openssl = versions['openssl']
  if (openssl === undefined) {
    return `${needed}; this Node.js ${versions['node']} was built without OpenSSL: use a build that has it`
  }
  if (!/^3\./.test(openssl)) {
    return `${needed}; this Node.js ${versions['node']} runs on OpenSSL ${openssl}: use an official build of Node.js 20, 22, 24 or 26`
  }
  if (platform !== 'linux' && platform !== 'darwin') {
    return `mcbn's addon runs on linux and darwin, this is ${platform}: only mcbn/psk works here`
  }
  return undefined
}

interface NodeGypBuild {
  resolve(folder: string): string
}

function found(resolve: () => string): string {
  try {
    return resolve()
  } catch (cause) {
    throw new McbnError(
      'MCBN_ADDON_UNAVAILABLE',
      `no compiled addon for ${here()} in ${PACKAGE_ROOT}: run "npm rebuild mcbn" ` +
        '("npm run build:native" in a checkout), which needs a C++20 compiler, make and python3',
      { cause },
    )
  }
}

function opened(path: string, load: () => NativeAddon): NativeAddon {
  try {
    return load()
  } catch (cause) {
    throw new McbnError(
      'MCBN_ADDON_UNAVAILABLE',
      `the addon ${path} does not load in ${here()} with OpenSSL ${process.versions.openssl}: ` +
        `${cause instanceof Error ? cause.message : String(cause)}; run "npm rebuild mcbn" with this Node.js`,
      { cause },
    )
  }
}

function here(): string {
  return `${process.platform}-${process.arch}, Node.js ${process.versions.node}`
}
