// A key typed as text. The commands printed by the program that mcbn replaces give one key twice: as 32
// bytes in 64 hex digits, and as the hex digits of those 64 characters. Both must be expressible, and
// a mixture, on which that program hung without a word, must be named.

import { describe, expect, it } from 'vitest'
import { describeWithPeers } from '../support/peers.js'
import { connect, listen, PSK, sClient, sServer } from './commands.js'
import { FROM_MCBN, FROM_PEER, IDENTITY, KEY, LOOPBACK } from './support.js'

const VERSIONS = [
  ['TLS 1.3', 'tls', ['-tls1_3']],
  ['DTLS 1.2', 'dtls', ['-dtls1_2', '-cipher', 'PSK-AES128-CCM8']],
] as const
const hexOfText = Buffer.from(KEY, 'ascii').toString('hex')

describeWithPeers(['openssl'], 'interop/key text: openssl', () => {
  describe.each(VERSIONS)('%s', (_name, transport, args) => {
    it('--psk ascii: is what openssl -psk takes as the hex of the text', async () => {
      const flags = ['--psk', `${IDENTITY}:ascii:${KEY}`, '--echo']
      const { port } = await listen(`${transport}://${LOOPBACK}:0`, ...flags)
      const peer = sClient(port, '-psk_identity', IDENTITY, '-psk', hexOfText, ...args)
      peer.write(`${FROM_PEER}\n`)
      await peer.output(FROM_PEER)
    })

    it('--psk hex: is what openssl -psk takes as it stands', async () => {
      const { port, peer } = await sServer('-psk', KEY, ...args)
      const url = `${transport}://${LOOPBACK}:${port}`
      const running = connect(url, '--psk', `${IDENTITY}:hex:${KEY}`)
      await peer.output(FROM_MCBN)
      peer.write('Q\n')
      expect((await running).exit.code).toBe(0)
    })

    it('one side with the bytes and one with the text is a wrong key, and named', async () => {
      const { port } = await sServer('-psk', hexOfText, ...args)
      const { exit, stderr } = await connect(`${transport}://${LOOPBACK}:${port}`, ...PSK)
      expect(exit.code).toBe(1)
      expect(stderr).toMatch(/^mcbn: [^\n]*MCBN_PSK_MISMATCH[^\n]*\n$/)
    })
  })
})
