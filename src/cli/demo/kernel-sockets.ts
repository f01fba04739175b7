// The kernel's own list of what a process listens on: a program's word for "nothing listens" is not needed.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** proc(5): the state column of a TCP socket that listens. */
const LISTEN = '0A'

/**
 * TCP ports that a process listens on, and UDP ports that it is bound to.
 *
 * @returns undefined where there is no /proc to say so.
 */
export function listeningPorts(pid: number): readonly number[] | undefined {
  try {
    const inodes = new Set(
      readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
        return /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${fd}`))?.slice(1) ?? []
      }),
    )
    return ['tcp', 'tcp6', 'udp', 'udp6'].flatMap((table) => {
      const lines = readFileSync(`/proc/${pid}/net/${table}`, 'utf8').trim().split('\n').slice(1)
      return lines.flatMap((line) => {
        const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/)
        const open = table.startsWith('udp') || state === LISTEN
        const port = Number.parseInt(local.split(':')[1] ?? '', 16)
        return open && inodes.has(inode) ? [port] : []
      })
    })
  } catch {
    return undefined
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
