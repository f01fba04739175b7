// Where the addon's file is. Only places that belong to the package, the bundle or the program are looked at:
// a fixed list, no search.

import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Names one file, and nothing else is looked at. */
export const VARIABLE = 'MCBN_ADDON'

/** What is told when there is no file. */
export interface NotFound {
  readonly looked: readonly string[]
  /** Set when the permission model keeps this process from looking there. */
  readonly hidden?: string
}

/** The file to load; or where it was looked for. */
export function findAddon(): string | NotFound {
  const named = process.env[VARIABLE]
  if (named) return resolve(named)
  const looked: string[] = []
  for (const file of candidates()) {
    if (isThere(file)) return file
    looked.push(file)
  }
  const unseen = looked.filter((file) => !mayRead(file))
  // Of the package's two the one that everybody has.
  const hidden = unseen.find((file) => file.includes('prebuilds')) ?? unseen[0]
  return hidden === undefined ? { looked } : { looked, hidden }
}

function* candidates(): Generator<string> {
  const file = ownFile()
  const home = file === undefined ? undefined : packageOf(file)
  // What was compiled here comes first: somebody wanted it.
  if (home !== undefined) yield join(home, 'build', 'Release', 'mcbn.node')
  // Above a bundle is nothing of ours, and perhaps a folder that others may write to.
  const beside = home ?? (file === undefined ? undefined : dirname(file))
  for (const folder of new Set([beside, programsFolder()])) {
    if (folder === undefined) continue
    const prebuilt = join(folder, 'prebuilds', `${process.platform}-${process.arch}`)
    if (process.platform === 'linux') yield join(prebuilt, `mcbn.${libc()}.node`)
    yield join(prebuilt, 'mcbn.node')
  }
}

/** Of what was started: a bundler may have written down where the sources were on the machine that bundled. */
function programsFolder(): string | undefined {
  const [, program] = process.argv
  if (isSingleExecutable()) return dirname(process.execPath)
  return program === undefined ? undefined : dirname(program)
}

/** This module, or the bundle that it has become a part of. */
function ownFile(): string | undefined {
  // Bundles of CommonJS have no import.meta.url, modules have no __filename.
  const url: string | undefined = import.meta.url
  if (url?.startsWith('file:')) return fileURLToPath(url)
  return typeof __filename === 'string' ? __filename : undefined
}

/** The folder of the package; undefined where this module is not where the package has it. */
function packageOf(file: string): string | undefined {
  return /^(.+)\/(?:src|dist)\/native\/find\.[jt]s$/.exec(file)?.[1]
}

function isSingleExecutable(): boolean {
  const sea = process.getBuiltinModule('node:sea') as { isSea(): boolean } | undefined
  return sea?.isSea() === true
}

/** Which C library this process runs on: a binary for the other one can end it instead of failing. */
export function libc(): 'glibc' | 'musl' {
  const { report } = process
  // Without it the report asks for the names of all peers.
  Object.assign(report, { excludeNetwork: true })
  const { header } = report.getReport() as { header: { glibcVersionRuntime?: string } }
  return header.glibcVersionRuntime === undefined ? 'musl' : 'glibc'
}

/** Under the permission model of Node 20 even asking for a hidden file throws. */
export function isThere(file: string): boolean {
  return mayRead(file) && existsSync(file)
}

function mayRead(file: string): boolean {
  const permission = (
    process as { permission?: { has(scope: string, reference: string): boolean } }
  ).permission
  return permission === undefined || permission.has('fs.read', file)
}

/**
 * What a file that did not load is for, as `linux-arm64, musl`; undefined when it is not a binary that is known.
 * The dynamic linker says of a file for another processor that it is not there.
 */
export function platformOf(file: string): string | undefined {
  let bytes: Buffer
  try {
    bytes = readFileSync(file)
  } catch {
    return undefined
  }
  if (bytes.length < 20) return undefined
  // ELF: e_machine; Mach-O, 64 bits: cputype; both little-endian.
  if (bytes.readUInt32BE(0) === 0x7f454c46) {
    const machine = ELF_MACHINES[bytes.readUInt16LE(18)] ?? `machine ${bytes.readUInt16LE(18)}`
    return `linux-${machine}, ${bytes.includes('libc.so.6') ? 'glibc' : 'musl'}`
  }
  if (bytes.readUInt32LE(0) === 0xfeedfacf) {
    return `darwin-${MACH_CPUS[bytes.readUInt32LE(4)] ?? `cpu ${bytes.readUInt32LE(4)}`}`
  }
  return bytes.toString('latin1', 0, 2) === 'MZ' ? 'win32' : undefined
}

/** Node's names, by the number in an ELF header. */
const ELF_MACHINES: Readonly<Record<number, string>> = {
  3: 'ia32',
  8: 'mips',
  21: 'ppc64',
  22: 's390x',
  40: 'arm',
  62: 'x64',
  183: 'arm64',
  243: 'riscv64',
  258: 'loong64',
}

const MACH_CPUS: Readonly<Record<number, string>> = { 16777223: 'x64', 16777228: 'arm64' }
