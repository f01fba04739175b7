// Where the bytes of a lock file come from: npm's own client, which knows the user's registry, and Debian's mirrors.

import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { McbnError } from '../errors.js'
import { type DebianPackage, type NpmPackage, sha512Of } from './lock.js'
import type { ContentStore } from './store.js'

const run = promisify(execFile)

/** Where Debian keeps its packages, for machines that do not know a mirror themselves. */
const DEBIAN_MIRROR = 'http://deb.debian.org/debian'
const FETCH_MS = 120_000
const NPM_MS = 600_000
const MOST_OUTPUT_BYTES = 64 * 1024 * 1024

/**
 * Tarballs of packages, in their order.
 *
 * @param folder - whose .npmrc counts.
 * @throws {McbnError} `MCBN_IMAGE_SOURCE_UNAVAILABLE`, naming the package.
 */
export async function npmTarballs(
  packages: readonly NpmPackage[],
  store: ContentStore,
  folder: string,
): Promise<Uint8Array[]> {
  const found = await Promise.all(packages.map((one) => store.find('sha512', sha512Of(one))))
  const missing = packages.filter((_, at) => found[at] === undefined)
  if (missing.length > 0) {
    store.demandOnline(missing.map(specOf).join(', '))
    await fetchTarballs(missing, store, folder)
  }
  return await Promise.all(
    packages.map(async (one, at) => {
      const bytes = found[at] ?? fetched.get(sha512Of(one))
      if (bytes !== undefined) return bytes
      throw unavailable(`${specOf(one)}: npm did not give it`)
    }),
  )
}

/** For stores that cannot be written. */
const fetched = new Map<string, Uint8Array>()

/** `npm pack` of a released package downloads it and runs none of its scripts. */
async function fetchTarballs(
  packages: readonly NpmPackage[],
  store: ContentStore,
  folder: string,
): Promise<void> {
  const into = await mkdtemp(join(tmpdir(), 'mcbn-npm-'))
  try {
    const args = [
      'pack',
      '--json',
      '--ignore-scripts',
      '--prefer-offline',
      '--pack-destination',
      into,
    ]
    const { stdout } = await run('npm', [...args, ...new Set(packages.map(specOf))], {
      cwd: folder,
      timeout: NPM_MS,
      maxBuffer: MOST_OUTPUT_BYTES,
    })
    const packed = JSON.parse(stdout) as readonly Readonly<Record<'id' | 'filename', string>>[]
    for (const one of packages) {
      const { filename } = packed.find(({ id }) => id === specOf(one)) ?? {}
      if (filename === undefined) throw unavailable(`${specOf(one)}: npm did not give it`)
      const bytes = await readFile(join(into, filename.replace(/^@/, '').replaceAll('/', '-')))
      await store.put(specOf(one), 'sha512', sha512Of(one), bytes)
      fetched.set(sha512Of(one), bytes)
    }
  } catch (cause) {
    if (cause instanceof McbnError) throw cause
    throw unavailable(
      `npm could not fetch ${packages.map(specOf).join(', ')}: ${lastLine(cause)}`,
      cause,
    )
  } finally {
    await rm(into, { recursive: true, force: true })
  }
}

/**
 * A package of Debian.
 *
 * @param mirrors - roots of mirrors, the first that has it serves.
 * @throws {McbnError} `MCBN_IMAGE_SOURCE_UNAVAILABLE`.
 */
export async function debianArchive(
  { name, version, path, sha256 }: DebianPackage,
  mirrors: readonly string[],
  store: ContentStore,
): Promise<Uint8Array> {
  const what = `${name} ${version}`
  return await store.get(what, 'sha256', sha256, async () => {
    const told: string[] = []
    let answered = false
    for (const mirror of mirrors) {
      try {
        const url = `${withoutSlash(mirror)}/${path}`
        const answer = await fetch(url, { signal: AbortSignal.timeout(FETCH_MS) })
        answered = true
        if (answer.ok) return new Uint8Array(await answer.arrayBuffer())
        told.push(`${mirror}: status ${answer.status}`)
      } catch (error) {
        told.push(`${mirror}: ${lastLine(error)}`)
      }
    }
    const tried = told.join('; ')
    throw unavailable(
      answered
        ? `${what}: no mirror of Debian has ${path} (${tried}); ` +
            'mirrors drop what was replaced: name one that keeps all with --debian-mirror'
        : `${what}: no mirror of Debian can be reached (${tried}); ` +
            'check the network, or name one that can be reached with --debian-mirror',
    )
  })
}

/** The mirrors to ask: those given, else those that apt on this machine has, and Debian's own. */
export async function debianMirrors(given: readonly string[] = []): Promise<readonly string[]> {
  if (given.length > 0) return given
  const { MCBN_DEBIAN_MIRROR } = process.env
  if (MCBN_DEBIAN_MIRROR) return MCBN_DEBIAN_MIRROR.split(/\s+/)
  const known = [...(await aptMirrors()), DEBIAN_MIRROR, `${DEBIAN_MIRROR}-security`]
  return [...new Set(known.map(withoutSlash))]
}

/** apt writes its mirrors with a slash at the end, people without. */
function withoutSlash(url: string): string {
  return url.replace(/\/+$/, '')
}

async function aptMirrors(): Promise<string[]> {
  try {
    const args = ['indextargets', '--format', '$(REPO_URI) $(ORIGIN)']
    const { stdout } = await run('apt-get', args, { timeout: 10_000, maxBuffer: MOST_OUTPUT_BYTES })
    return stdout
      .split('\n')
      .filter((line) => / Debian$/.test(line))
      .map((line) => line.split(' ', 1)[0] ?? '')
      .filter((uri) => /^https?:/.test(uri))
  } catch {
    return []
  }
}

function specOf({ name, version }: NpmPackage): string {
  return `${name}@${version}`
}

function unavailable(message: string, cause?: unknown): McbnError {
  return new McbnError('MCBN_IMAGE_SOURCE_UNAVAILABLE', message, { cause })
}

function lastLine(error: unknown): string {
  const { stderr, cause } = error as { readonly stderr?: unknown; readonly cause?: unknown }
  const text = typeof stderr === 'string' && stderr.trim() !== '' ? stderr : ''
  const line = text
    .split('\n')
    .find((candidate) => /error/i.test(candidate) && !/A complete log/.test(candidate))
  if (line !== undefined) return line.trim()
  const reason = cause instanceof Error ? cause : error
  return reason instanceof Error ? reason.message : String(reason)
}
