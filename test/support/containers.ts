// Containers by runc, which needs no daemon: what their description asks for, in its own namespaces.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { temporaryFolder } from './paths.js'
import { type Child, run, start } from './process.js'

export interface Mount {
  readonly destination: string
  readonly type: 'bind' | 'tmpfs' | 'proc'
  readonly source: string
  readonly options: readonly string[]
}

export interface ContainerOptions {
  /** Of its root file system, which is read-only unless `writable`. */
  readonly root: string
  readonly writable?: boolean
  readonly args: readonly string[]
  readonly env: readonly string[]
  readonly cwd: string
  readonly uid: number
  readonly gid: number
  /** Besides /proc and /dev. */
  readonly mounts: readonly Mount[]
  /** Whether it has its own network, in which there is only itself. @defaultValue false */
  readonly ownNetwork?: boolean
  /** @defaultValue true */
  readonly noNewPrivileges?: boolean
  /** Capabilities that a program can get; runc gives none where none is named. @defaultValue none */
  readonly capabilities?: readonly string[]
  readonly rlimits?: readonly {
    readonly type: string
    readonly soft: number
    readonly hard: number
  }[]
}

/** A container that runs; it is removed when the test is over. */
export class Container {
  readonly child: Child
  readonly #state: string
  readonly #id: string

  private constructor(child: Child, state: string, id: string) {
    this.child = child
    this.#state = state
    this.#id = id
  }

  static start(name: string, options: ContainerOptions): Container {
    const bundle = temporaryFolder()
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(specOf(options)))
    const id = `mcbn-${process.pid}-${name}-${Math.random().toString(36).slice(2)}`
    const state = join(bundle, 'state')
    onTestFinished(async () => {
      await run('runc', ['--root', state, 'delete', '--force', id], { lifetime: 20_000 })
    })
    const started = start('runc', ['--root', state, 'run', '--bundle', bundle, id], {
      lifetime: 120_000,
      foreign: true,
    })
    return new Container(started, state, id)
  }

  /** Runs a program inside, as the container's own user. */
  async exec(...args: readonly string[]) {
    return await run('runc', ['--root', this.#state, 'exec', this.#id, ...args], {
      lifetime: 60_000,
      foreign: true,
    })
  }

  /** @param name - of the signal, to its first process. */
  async kill(name: string): Promise<void> {
    await run('runc', ['--root', this.#state, 'kill', this.#id, name], { lifetime: 20_000 })
  }
}

function specOf({ root, uid, gid, capabilities = [], ...options }: ContainerOptions): object {
  const sets = ['bounding', 'effective', 'inheritable', 'permitted', 'ambient']
  const kinds = ['pid', 'ipc', 'uts', 'mount', ...(options.ownNetwork ? ['network'] : [])]
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid, gid },
      args: options.args,
      env: options.env,
      cwd: options.cwd,
      noNewPrivileges: options.noNewPrivileges ?? true,
      capabilities: Object.fromEntries(sets.map((set) => [set, capabilities])),
      ...(options.rlimits && { rlimits: options.rlimits }),
    },
    root: { path: root, readonly: options.writable !== true },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc', options: [] },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] },
      ...options.mounts,
    ],
    linux: { namespaces: kinds.map((type) => ({ type })) },
  }
}
