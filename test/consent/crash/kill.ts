// Ends this process by SIGKILL at the n-th operation that changes a file or asks a database: before it, after it,
// or in the middle of it, which is half of what is written, or a question whose answer is not waited for. Between
// two such operations nothing of a process survives, so these are all the points there are.

import * as fs from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import type pg from 'pg'

export interface KillAt {
  /** Counted from 1; 0: never. */
  readonly operation: number
  readonly moment: 'before' | 'middle' | 'after'
}

let operations = 0

/** Operations so far. */
export function operationsDone(): number {
  return operations
}

type Work = (...values: unknown[]) => Promise<unknown>

function die(): never {
  process.kill(process.pid, 'SIGKILL')
  // The signal is there before the next instruction of this program; nothing else may happen anyway.
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

/** Files alone. */
export async function killAt({ operation, moment }: KillAt): Promise<void> {
  const watched = (work: Work, half?: Work): Work =>
    async function (this: unknown, ...values) {
      operations += 1
      if (operations !== operation) return await work.apply(this, values)
      if (moment === 'before') die()
      if (moment === 'middle' && half !== undefined) await half.apply(this, values)
      else await work.apply(this, values)
      return die()
    }
  const replace = (target: object, name: string, half?: Work): void => {
    const work = (target as Record<string, Work>)[name] as Work
    Object.defineProperty(target, name, {
      value: watched(work, half),
      configurable: true,
      writable: true,
    })
  }
  const handle = await open('/dev/null', 'r+')
  const prototype = Object.getPrototypeOf(handle) as FileHandle
  await handle.close()
  const write = prototype.write as unknown as Work
  async function half(this: FileHandle, bytes: unknown): Promise<unknown> {
    const all = typeof bytes === 'string' ? Buffer.from(bytes) : (bytes as Uint8Array)
    return await write.call(this, all.subarray(0, all.length >> 1))
  }
  replace(prototype, 'write', half as Work)
  replace(prototype, 'writeFile', half as Work)
  for (const name of ['sync', 'datasync', 'truncate']) replace(prototype, name)
  for (const name of ['rename', 'link', 'unlink', 'mkdir', 'chmod']) replace(fs.promises, name)
  syncBuiltinESMExports()
}

/** What a database is asked, too; counted together with files. */
export function killAtQueries({ Client }: typeof pg, { operation, moment }: KillAt): void {
  const prototype = Client.prototype as unknown as { query: (...values: unknown[]) => unknown }
  const { query } = prototype
  prototype.query = function (...values) {
    operations += 1
    if (operations !== operation) return query.apply(this, values)
    if (moment === 'before') die()
    const told = values.at(-1)
    // A pool asks by callback, a transaction by promise.
    if (moment === 'after' && typeof told === 'function') values.splice(-1, 1, die)
    const answer = query.apply(this, values)
    // It is on its way: the server does it, and nobody hears of it.
    if (moment === 'middle') die()
    return answer instanceof Promise ? answer.then(die, die) : answer
  }
}
