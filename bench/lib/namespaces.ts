// Network namespaces on one bridge: machines, as far as addresses, ports and routes go. Needs root and iproute2.

import { execFileSync } from 'node:child_process'

const NETWORK = '10.91.0'

export interface Namespace {
  readonly name: string
  readonly address: string
}

export class Namespaces implements Disposable {
  /** Where this process is found by those in the namespaces. */
  readonly address = `${NETWORK}.1`
  readonly all: readonly Namespace[]
  readonly #bridge = `mf${process.pid % 1_000_000}`

  constructor(count: number) {
    process.once('exit', () => this[Symbol.dispose]())
    ip('link', 'add', this.#bridge, 'type', 'bridge')
    ip('addr', 'add', `${this.address}/24`, 'dev', this.#bridge)
    ip('link', 'set', this.#bridge, 'up')
    this.all = Array.from({ length: count }, (_, index) => {
      const name = `${this.#bridge}-${index}`
      const address = `${NETWORK}.${10 + index}`
      ip('netns', 'add', name)
      ip('link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name)
      ip('link', 'set', name, 'master', this.#bridge, 'up')
      ip('-n', name, 'addr', 'add', `${address}/24`, 'dev', 'eth0')
      for (const link of ['eth0', 'lo']) ip('-n', name, 'link', 'set', link, 'up')
      return { name, address }
    })
  }

  /** Whatever of them there is. */
  [Symbol.dispose](): void {
    for (const name of namesOfNamespaces()) {
      if (name.startsWith(`${this.#bridge}-`)) quietly('netns', 'delete', name)
    }
    quietly('link', 'delete', this.#bridge)
  }
}

function namesOfNamespaces(): string[] {
  return ip('netns', 'list').split(/\s+/)
}

function ip(...args: readonly string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
}

function quietly(...args: readonly string[]): void {
  try {
    ip(...args)
  } catch {
    // It is gone.
  }
}
