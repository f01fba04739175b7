// The binary that users get: OpenSSL comes from the running node, never from its own library.

import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { findAddon } from '../../src/native/find.js'
import { findProgram } from '../support/peers.js'

const binary = findAddon() as string

// binutils come with every compiler; macOS has another format and other tools.
describe.skipIf(process.platform !== 'linux' || !findProgram('readelf'))('structure/binary', () => {
  const needed = [...readelf('--dynamic').matchAll(/\(NEEDED\).*\[(.+)\]/g)].map((line) => line[1])
  const undefinedSymbols = [...readelf('--dyn-syms').matchAll(/ UND (\w+)/g)].map((line) => line[1])

  it('links no OpenSSL but the one of node', () => {
    expect(needed.length).toBeGreaterThan(0)
    expect(needed.filter((library) => /ssl|crypto/.test(`${library}`))).toEqual([])
  })

  it('takes OpenSSL from the process: its symbols are undefined in the binary', () => {
    expect(undefinedSymbols).toContain('SSL_new')
  })

  it('speaks Node-API only: no symbol of V8 or of node itself', () => {
    expect(undefinedSymbols.filter((symbol) => /^_ZNK?(2v8|4node)/.test(`${symbol}`))).toEqual([])
    expect(undefinedSymbols.some((symbol) => symbol?.startsWith('napi_'))).toBe(true)
  })
})

function readelf(what: string): string {
  return execFileSync('readelf', ['--wide', what, binary], { encoding: 'utf8', maxBuffer: 64e6 })
}
