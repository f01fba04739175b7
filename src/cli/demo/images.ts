// Which images the machines of the demonstration have: those of what really runs, measured on the spot.

import { readFileSync } from 'node:fs'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PACKAGE_ROOT } from '../../image/own.js'
import { type RunningLayers, runningDigest, runningLayers } from '../../image/running.js'
import { MACHINES, type MachineName } from './cast.js'

/** As actor.ts starts programs. */
const source = import.meta.url.endsWith('.ts')
const program = fileURLToPath(
  new URL(`./machine-process${source ? '.ts' : '.js'}`, import.meta.url),
)

/** What the author of the images tells everybody: the digest of each machine's program. */
export async function authoredDigests(): Promise<Readonly<Record<MachineName, string>>> {
  const layers = await measuredLayers(process.execPath)
  const digests = MACHINES.map((name) => [name, digestOf(layers, [program, name])] as const)
  return Object.fromEntries(digests) as Record<MachineName, string>
}

/** What the vendor's hardware sees in a machine, whatever anybody says: its node, its files, its arguments. */
export async function measuredDigest(pid: number, name: MachineName): Promise<string> {
  // Only Linux shows them to other processes.
  if (process.platform !== 'linux') {
    return digestOf(await measuredLayers(process.execPath), [program, name])
  }
  const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1)
  const at = args.findIndex((arg) => /-process\.[jt]s$/.test(arg))
  // The folder of this run lies between the program and its name, and is another one each time.
  const [file = '', , ...rest] = args.slice(at)
  return digestOf(await measuredLayers(`/proc/${pid}/exe`), [file, ...rest])
}

let known: Promise<RunningLayers> | undefined

/** Once a process: nobody exchanges files while the demonstration runs, and if so it is noticed at its start. */
function measuredLayers(node: string): Promise<RunningLayers> {
  known ??= runningLayers(source ? 'source' : 'compiled', node)
  return known
}

function digestOf(layers: RunningLayers, [path = '', ...args]: readonly string[]): string {
  return runningDigest(layers, [`/app/${relative(PACKAGE_ROOT, path)}`, ...args])
}
