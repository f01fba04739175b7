// The command under test, in its own processes.

import { expect } from 'vitest'
import { commandFile } from '../support/paths.js'
import { type Child, type ChildOptions, run, start } from '../support/process.js'

/** 32 bytes, as somebody would type them. */
export const KEY = '2c6f63f8c0f53a565db041b91c0a95add8913fc102670589db3982228dbfed90'
export const OTHER_KEY = 'b15244faf36e5e4b178d3891701d245f2e45e881d913b6c35c0ea0ac14224cc2'
/** The flags that both sides of a good connection have. */
export const PSK = ['--psk', `Client1:${KEY}`] as const

export type Finished = Awaited<ReturnType<typeof run>>

/** Runs `mcbn` to its end; stdin is `input`, then closed. */
export async function mcbn(
  args: readonly string[],
  options: ChildOptions & { readonly input?: string | Uint8Array } = {},
): Promise<Finished> {
  return await run(process.execPath, [commandFile, ...args], quiet(options))
}

/** Starts `mcbn` and leaves it running; the test's end stops it. */
export function startMcbn(args: readonly string[], options: ChildOptions = {}): Child {
  return start(process.execPath, [commandFile, ...args], quiet(options))
}

/** Starts `mcbn listen` and waits until it says where. */
export async function listening(
  url: string,
  ...args: readonly string[]
): Promise<{ readonly server: Child; readonly url: string; readonly port: number }> {
  const server = startMcbn(['listen', url, ...PSK, ...args])
  const [, listensOn = '', port = ''] = await server.output(/^listening on (\S+:(\d+))$/m)
  return { server, url: listensOn, port: Number(port) }
}

/** What every failure must look like: its exit code, nothing on stdout, one line that says why. */
export function expectFailure(child: Finished, code: 1 | 2, reason: RegExp | string): void {
  expect(child.exit, child.report()).toEqual({ code, signal: null })
  expect(child.stdout).toBe('')
  expect(child.stderr).toMatch(/^mcbn: [^\n]+\n$/)
  expect(child.stderr).toMatch(reason)
}

export function expectSuccess(child: Finished): void {
  expect(child.exit, child.report()).toEqual({ code: 0, signal: null })
  expect(child.stderr).toBe('')
}

/** What the tester's own shell has set must not decide a test. */
function quiet<Options extends ChildOptions>(options: Options): Options {
  return { ...options, env: { SSLKEYLOGFILE: undefined, FORCE_COLOR: undefined, ...options.env } }
}
