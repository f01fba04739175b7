import { describe, expect, it } from 'vitest'
import { run, typescript } from '../../support/process.js'

describe('consent without the addon', () => {
  it('is imported, checks descriptors and says what is missing only when a socket is wanted', async () => {
    const file = new URL('./addon-free-program.ts', import.meta.url).pathname
    const child = await run(process.execPath, typescript(file))
    expect(child.exit, child.report()).toEqual({ code: 0, signal: null })
    expect(child.stdout.trim().split('\n')).toEqual([
      'imported',
      'MCBN_DESCRIPTOR_INVALID',
      'MCBN_ADDON_UNAVAILABLE',
    ])
  })
})
