// Finds and loads the addon, or says in one sentence why this process cannot have it.
//
// Loaded on first use, not on import: mcbn/psk works without it.

import { dirname, join } from 'node:path'
import { McbnError } from '../errors.js'
import type {
  NativeContext,
  NativeContextOptions,
  NativeContract,
  NativeKeyTable,
} from './contract.js'
import type {
  NativeAdmissionConstructor,
  NativeFleetConstructor,
  NativeIoThreadConstructor,
} from './dtls.js'
import { findAddon, isThere, libc, type NotFound, platformOf, VARIABLE } from './find.js'
import type { NativeSealHpke } from './hpke.js'
import type { NativePath, NativePathRequest } from './path.js'
import type { NativeTlsSessionConstructor } from './tls.js'

/** What native/addon.cc exports. */
export interface NativeAddon {
  readonly Admission: NativeAdmissionConstructor
  readonly Fleet: NativeFleetConstructor
  readonly IoThread: NativeIoThreadConstructor
  readonly Context: new (options: NativeContextOptions) => NativeContext
  readonly KeyTable: new () => NativeKeyTable
  readonly TlsSession: NativeTlsSessionConstructor
  readonly validatePath: (request: NativePathRequest) => NativePath
  readonly sealHpke: NativeSealHpke
  readonly contract: NativeContract
  /**
   * Locks an open file for this process alone, until its descriptor is closed.
   *
   * @returns false while it is locked through another opening of it.
   */
  tryLockFile(fd: number): boolean
  /** Gives it back also where a child that is just being started has the descriptor too. */
  unlockFile(fd: number): boolean
  /** For example `3.0.19`: the running process's own, not the headers'. */
  readonly opensslVersion: string
}

/** The facts about a process that decide whether the addon can work in it. */
export interface Runtime {
  readonly platform: string
  readonly arch: string
  readonly versions: Readonly<Record<string, string | undefined>>
}

let loaded: NativeAddon | undefined

/**
 * The addon, loaded once for each thread.
 *
 * Looked for in the package's `build/Release`, then in its `prebuilds/`; in a bundle or a single executable
 * application also in a folder `prebuilds` beside that. The environment variable `MCBN_ADDON` names another
 * file, and then nothing else is looked at. It is read now, not when the module was loaded.
 *
 * @throws {McbnError} `MCBN_ADDON_UNAVAILABLE` when this is not Node.js with OpenSSL 3 on Linux or
 * macOS, or when no binary for it is found or loads; the loader's own error is the `cause`.
 */
export function loadAddon(): NativeAddon {
  if (loaded) return loaded
  const obstacle = obstacleIn(process)
  if (obstacle) throw unavailable(obstacle)
  const file = findAddon()
  if (typeof file !== 'string') throw unavailable(whyNotFound(file))
  // Not require(): bundles and single executable applications have none that loads a file.
  const module: { exports: unknown } = { exports: {} }
  try {
    process.dlopen(module, file)
  } catch (cause) {
    throw unavailable(whyNotLoaded(file, cause), cause)
  }
  loaded = module.exports as NativeAddon
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

function unavailable(message: string, cause?: unknown): McbnError {
  return new McbnError('MCBN_ADDON_UNAVAILABLE', message, cause === undefined ? {} : { cause })
}

function whyNotFound({ looked, hidden }: NotFound): string {
  if (hidden !== undefined) {
    return `the permission model hides ${hidden}: start Node.js with --allow-addons and --allow-fs-read for the addon's file`
  }
  const [first] = looked
  return (
    `no compiled addon for ${here()}, looked for ${looked.join(', ') || 'nothing'}: ` +
    (first !== undefined && isInstalled(first)
      ? 'run "npm rebuild mcbn" ("npm run build:native" in a checkout), which needs a C++20 compiler, make and python3'
      : `put the package's folder prebuilds beside the bundle, or name the file by ${VARIABLE} (docs/INSTALL.md)`)
  )
}

/** Whether the package lies there, and no bundle has taken its code elsewhere. */
function isInstalled(candidate: string): boolean {
  return isThere(join(dirname(candidate), '..', '..', 'binding.gyp'))
}

function whyNotLoaded(file: string, cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  if (code === 'ERR_DLOPEN_DISABLED') {
    return `this process may load no addons: start Node.js with --allow-addons, or without --no-addons`
  }
  if (code === 'ERR_ACCESS_DENIED') {
    return `the permission model forbids ${file}: start Node.js with --allow-addons and --allow-fs-read=${file}`
  }
  const said = cause instanceof Error ? cause.message : String(cause)
  if (!isThere(file)) {
    return `the addon ${file} is not there: ${VARIABLE} has to name the file of a compiled addon`
  }
  const platform = platformOf(file)
  const found = `the addon ${file} does not load in ${here()} with OpenSSL ${process.versions.openssl}: `
  if (platform === undefined) return `${found}it is not a compiled addon (${said}); ${remedy(file)}`
  const own =
    process.platform === 'linux'
      ? `linux-${process.arch}, ${libc()}`
      : `${process.platform}-${process.arch}`
  if (platform !== own) return `${found}it is for ${platform}, this is ${own}; ${remedy(file)}`
  return `${found}${said}; ${remedy(file)}`
}

function remedy(file: string): string {
  return process.env[VARIABLE]
    ? `let ${VARIABLE} name the file in prebuilds for this platform`
    : `run "npm rebuild mcbn" with this Node.js, or put the file for it in the place of ${file}`
}

function here(): string {
  return `${process.platform}-${process.arch}, Node.js ${process.versions.node}`
}
