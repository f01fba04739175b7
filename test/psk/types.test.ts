import { describe, expectTypeOf, it } from 'vitest'
import type { PskClientSource, PskEntry, PskKey, PskSource } from '../../src/psk/index.js'
import { derivePsk } from '../../src/psk/index.js'

// Checked by the compiler (npm run check); at run time these say nothing.
describe('psk/types', () => {
  it('take what servers give', () => {
    expectTypeOf<{ Client1: Buffer }>().toExtend<PskSource>()
    expectTypeOf<{ Client1: { key: Buffer; hash: 'sha384' } }>().toExtend<PskSource>()
    expectTypeOf<Map<string, Buffer>>().toExtend<PskSource>()
    expectTypeOf<() => null>().toExtend<PskSource>()
    expectTypeOf<() => Promise<Buffer | null>>().toExtend<PskSource>()
    expectTypeOf<() => { key: Buffer; peer: number }>().toExtend<PskSource<number>>()
  })

  it('take what clients give', () => {
    expectTypeOf<{ identity: string; key: Buffer }>().toExtend<PskClientSource>()
    expectTypeOf<{ identity: Buffer; key: Uint8Array }>().toExtend<PskClientSource>()
    expectTypeOf<
      (hint: string | undefined) => Promise<{ identity: string; key: Buffer }>
    >().toExtend<PskClientSource>()
  })

  it('refuse keys as text, peers of another type and unknown hashes', () => {
    expectTypeOf<string>().not.toExtend<PskKey>()
    expectTypeOf<{ Client1: string }>().not.toExtend<PskSource>()
    expectTypeOf<() => { key: Buffer; peer: string }>().not.toExtend<PskSource<number>>()
    expectTypeOf<{ key: Buffer; hash: 'md5' }>().not.toExtend<PskEntry>()
  })

  it('tie the form of the shares to the scheme', () => {
    const wrong = () => {
      // @ts-expect-error a list has no labels
      derivePsk([], { descriptorHash: Buffer.alloc(32), network: 'n', epoch: 0, protocol: 'kcv' })
      // @ts-expect-error labels have no order
      derivePsk({}, { scheme: 'hmac-chain' })
    }
    expectTypeOf(wrong).returns.toBeVoid()
  })
})
