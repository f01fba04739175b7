// The memory of a running process, as a debugger of the same user or of root sees it: read while it runs (proc(5),
// /proc/PID/mem), or from a core dump.

import { closeSync, openSync, readdirSync, readFileSync, readSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'

const CHUNK = 4 * 1024 * 1024
/** Bytes read twice, so that nothing is cut in two. */
const OVERLAP = 256

/** Writable memory in pieces; what is code or a mapped file without writes cannot hold a secret. */
export function* memoryOf(
  pid: number,
): Generator<{ readonly place: string; readonly bytes: Buffer }> {
  const maps = readFileSync(`/proc/${pid}/maps`, 'latin1').trim().split('\n')
  const memory = openSync(`/proc/${pid}/mem`, 'r')
  try {
    for (const line of maps) {
      const [, from = '', to = '', mode = '', name = ''] =
        /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)$/.exec(line) ?? []
      if (!mode.startsWith('rw') || /^\[v/.test(name)) continue
      const end = Number.parseInt(to, 16)
      for (let at = Number.parseInt(from, 16); at < end; at += CHUNK) {
        const bytes = Buffer.alloc(Math.min(CHUNK + OVERLAP, end - at))
        const length = read(memory, bytes, at)
        if (length > 0)
          yield { place: name || `anonymous ${from}`, bytes: bytes.subarray(0, length) }
      }
    }
  } finally {
    closeSync(memory)
  }
}

/**
 * The spellings that bytes have in memory, also as a big integer, whose digits are little-endian.
 * @param pieces - with an overlap of 256 bytes.
 */
export function whereInMemory(
  pieces: Iterable<{ readonly bytes: Buffer }>,
  secrets: ReadonlyMap<string, Buffer>,
): string[] {
  const needles = [...secrets].flatMap(([name, secret]) => [
    { name, spelling: 'as it is', needle: secret },
    { name, spelling: 'backwards', needle: Buffer.from(secret).reverse() },
    { name, spelling: 'in hex', needle: Buffer.from(secret.toString('hex')) },
    { name, spelling: 'in base64', needle: Buffer.from(secret.toString('base64').slice(0, 40)) },
    {
      name,
      spelling: 'in base64url',
      needle: Buffer.from(secret.toString('base64url').slice(0, 40)),
    },
  ])
  const found = new Set<string>()
  for (const { bytes } of pieces) {
    for (const { name, spelling, needle } of needles) {
      if (bytes.includes(needle)) found.add(`${name}, ${spelling}`)
    }
  }
  return [...found].sort()
}

/** Whether the kernel writes a core dump into the folder of the process (core(5)). */
export function dumpsCores(): boolean {
  const pattern = readFileSync('/proc/sys/kernel/core_pattern', 'latin1').trim()
  if (/^[^|/]/.test(pattern)) return true
  console.warn(`\n!!! SKIPPED: core dumps go to ${pattern}; only living memory was searched\n`)
  return false
}

/** The core dump that a process has left in its folder. */
export function* coreIn(folder: string): Generator<{ readonly bytes: Buffer }> {
  const name = readdirSync(folder).find((file) => file.startsWith('core'))
  if (name === undefined) throw new Error(`no core dump in ${folder}`)
  const file = join(folder, name)
  const core = openSync(file, 'r')
  try {
    const end = statSync(file).size
    for (let at = 0; at < end; at += CHUNK) {
      const bytes = Buffer.alloc(Math.min(CHUNK + OVERLAP, end - at))
      yield { bytes: bytes.subarray(0, readSync(core, bytes, 0, bytes.length, at)) }
    }
  } finally {
    closeSync(core)
    rmSync(file)
  }
}

function read(memory: number, bytes: Buffer, at: number): number {
  try {
    return readSync(memory, bytes, 0, bytes.length, at)
  } catch {
    // Given back meanwhile, or not to be read.
    return 0
  }
}
