// Consul over HTTPS, with a certificate that openssl makes.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { consulResolver } from '../../src/discovery/index.js'
import { temporaryFolder } from '../support/paths.js'
import { describeWithPeers } from '../support/peers.js'
import { run } from '../support/process.js'
import { failure } from './support.js'

describeWithPeers(['openssl'], 'discovery/consul over https', () => {
  it('trusts the given certificates only, and sends its token to nobody else', async () => {
    const folder = temporaryFolder()
    const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
    const made = await run(
      'openssl',
      [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
        ...['-days', '2', '-subj', '/CN=consul', '-addext', 'subjectAltName=IP:127.0.0.1'],
        ...['-keyout', keyFile, '-out', certFile],
      ],
      { foreign: true },
    )
    expect(made.exit.code, made.report()).toBe(0)
    const cert = readFileSync(certFile, 'utf8')
    const tokens: unknown[] = []
    const server = createServer({ key: readFileSync(keyFile), cert }, (request, response) => {
      tokens.push(request.headers['x-consul-token'])
      response.end('[{"Service":{"Address":"127.0.0.1","Port":8081}}]')
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    const address = `https://127.0.0.1:${(server.address() as AddressInfo).port}`

    const stranger = consulResolver({ address, token: 'secret-token' })
    expect((await failure(stranger.resolve('ledger'))).message).toMatch(/self-signed|certificate/)
    expect(tokens).toEqual([])

    const trusting = consulResolver({ address, token: 'secret-token', ca: cert })
    expect(await trusting.resolve('ledger')).toHaveLength(1)
    expect(tokens).toEqual(['secret-token'])
  })
})
