// Runs where no addon can load: what mcbn/consent does without one.

import process from 'node:process'

process.dlopen = () => {
  throw new Error('no addon here')
}
const { join } = await import('../../../src/consent/index.js')
console.log('imported')
const codeOf = (error: unknown) => console.log((error as { code?: string }).code)
const options = { descriptor: '{}', descriptorHash: '00'.repeat(32), role: 'client' } as never
await join(options).catch(codeOf)

const tls = await import('../../../src/tls/index.js')
try {
  tls.connect({ port: 1, psk: { identity: 'x', key: Buffer.alloc(32, 7) } })
} catch (error) {
  codeOf(error)
}
