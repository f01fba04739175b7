// The least that a release takes in Node: its HTTP, the cryptography that the protocol asks for, and one line on the
// disk, shared by those that come together. No policy, no leases, nothing else is read or checked: no participant.
// What one takes beyond this is ours to lower.
//
//   <folder> <key set of the evidence's issuer, JSON>     prints port; serves until it is ended

import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  randomBytes,
  sign,
  verify,
} from 'node:crypto'
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { hpkeSeal } from '../../src/consent/base/hpke.js'
import type { PreparedEvidence } from './consent-rounds.js'
import { say } from './counting.js'
import { HOST } from './credentials.js'

const [folder = '', keySet = ''] = process.argv.slice(2)
const [jwk] = (JSON.parse(keySet) as { readonly keys: readonly JsonWebKey[] }).keys
const issuerKey = createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' })
const { privateKey } = generateKeyPairSync('ed25519')
const share = randomBytes(32)

const { O_CREAT, O_WRONLY, O_APPEND, O_DSYNC } = constants
const file = await open(join(folder, 'floor.jsonl'), O_CREAT | O_WRONLY | O_APPEND | O_DSYNC, 0o600)
let waiting: { readonly line: string; readonly kept: () => void }[] = []
let writing = false

/** Resolves when the disk has it. */
async function keep(line: string): Promise<void> {
  const kept = new Promise<void>((resolve) => waiting.push({ line, kept: resolve }))
  if (!writing) void write()
  await kept
}

async function write(): Promise<void> {
  writing = true
  while (waiting.length > 0) {
    const batch = waiting
    waiting = []
    await file.write(batch.map(({ line }) => line).join(''))
    for (const { kept } of batch) kept()
  }
  writing = false
}

async function release({ c, request, evidence }: PreparedEvidence): Promise<object> {
  const { token } = evidence
  const end = token.lastIndexOf('.')
  const signature = Buffer.from(token.slice(end + 1), 'base64url')
  if (!verify('sha256', Buffer.from(token.slice(0, end)), issuerKey, signature)) {
    throw new Error('expected a token of the issuer')
  }
  const tokenHash = createHash('sha256').update(token).digest()
  const sealed = hpkeSeal(Buffer.from(request.pk, 'base64url'), share, {
    info: tokenHash,
    exports: ['renewal', 'return'],
  })
  const proofs = sealed.exported.map((secret) => secret.toString('hex'))
  const answer = {
    ...{ c, dh: request.dh, role: request.role, tokenHash: tokenHash.toString('base64url') },
    ...{
      enc: sealed.enc.toString('base64url'),
      ciphertext: sealed.ciphertext.toString('base64url'),
    },
  }
  const message = Buffer.from(JSON.stringify(answer))
  // As long as a line of the audit.
  await keep(`${JSON.stringify({ proofs, answer }).padEnd(900)}\n`)
  return { ...answer, signature: sign(null, message, privateKey).toString('base64url') }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  return await new Promise((resolve) => {
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.once('end', () => resolve(Buffer.concat(chunks).toString()))
  })
}

const server = createServer(async (request, response) => {
  const message = JSON.parse(await bodyOf(request)) as PreparedEvidence
  const isAsking = request.url === '/v1/request'
  const answer = isAsking ? { c: randomBytes(32).toString('base64url') } : await release(message)
  const text = JSON.stringify(answer)
  response.writeHead(200, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  })
  response.end(text)
})
server.listen(0, HOST, () => say('port', (server.address() as AddressInfo).port))
