// Stand-ins for Sigstore's services on loopback, and key pairs as files have them.

import { createHash, generateKeyPairSync, type KeyPairKeyObjectResult, sign } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fulcioHandler, initializeCA, initializeTLog, rekorHandler } from '@sigstore/mock'

export const ISSUER = 'https://issuer.test'

export function keyPair(type: 'ed25519' | 'ec' | 'rsa' = 'ed25519') {
  const pair =
    type === 'ed25519'
      ? generateKeyPairSync(type)
      : type === 'ec'
        ? generateKeyPairSync(type, { namedCurve: 'P-256' })
        : generateKeyPairSync(type, { modulusLength: 2048 })
  return {
    privateKey: `${pair.privateKey.export({ type: 'pkcs8', format: 'pem' })}`,
    publicKey: `${pair.publicKey.export({ type: 'spki', format: 'pem' })}`,
  }
}

/** Not signed: the stand-in believes it. */
export const identityToken = `e30.${Buffer.from(JSON.stringify({ sub: 'me@example.test', iss: ISSUER })).toString('base64url')}.x`

/** A log of certificates (RFC 6962). The package's own forgets the signature with the pkijs of today. */
function certificateLog({ publicKey, privateKey }: KeyPairKeyObjectResult) {
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const logID = createHash('sha256').update(spki).digest()
  const uint = (bytes: number, value: number) => {
    const buffer = Buffer.alloc(bytes)
    buffer.writeUIntBE(value, 0, bytes)
    return buffer
  }
  return {
    publicKey: spki,
    logID,
    async log(certificate: ArrayBuffer, issuerKeyHash: ArrayBuffer): Promise<ArrayBuffer> {
      // The first element of a certificate is what is signed. Both have lengths of two bytes.
      const der = Buffer.from(certificate)
      const tbs = der.subarray(4, 4 + 4 + der.readUInt16BE(6))
      const time = Buffer.concat([uint(2, 0), uint(6, Date.now())])
      const entry = [uint(2, 1), Buffer.from(issuerKeyHash), uint(3, tbs.length), tbs, uint(2, 0)]
      const signature = sign('sha256', Buffer.concat([uint(2, 0), time, ...entry]), privateKey)
      const ecdsaWithSha256 = Buffer.from([4, 3])
      const head = [uint(1, 0), logID, time, uint(2, 0), ecdsaWithSha256]
      const sct = Buffer.concat([...head, uint(2, signature.length), signature])
      return new Uint8Array(Buffer.concat([uint(2, sct.length), sct])).buffer
    },
  }
}

interface ProposedEntry {
  readonly spec: {
    readonly proposedContent: { readonly envelope: string; readonly verifiers: readonly string[] }
  }
}

/** What Rekor keeps of an envelope: hashes and the signature. The stand-in would keep what was proposed. */
function recorded({ spec, ...entry }: ProposedEntry): object {
  const { envelope, verifiers } = spec.proposedContent
  const { payload, signatures } = JSON.parse(envelope)
  const hash = (bytes: Buffer | string) => ({
    algorithm: 'sha256',
    value: createHash('sha256').update(bytes).digest('hex'),
  })
  return {
    ...entry,
    spec: {
      envelopeHash: hash(envelope),
      payloadHash: hash(Buffer.from(payload, 'base64')),
      signatures: [{ signature: signatures[0].sig, verifier: verifiers[0] }],
    },
  }
}

/** A certificate authority and a log on loopback, and the file that says to trust them. */
export async function sigstore() {
  const pair = () => generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const before = new Date(Date.now() - 60_000).toISOString()
  const ctlog = certificateLog(pair())
  const ca = await initializeCA(pair(), ctlog)
  const tlog = await initializeTLog('http://127.0.0.1', pair())
  const log = (entry: object) => tlog.log(recorded(entry as ProposedEntry))
  const handlers = [fulcioHandler(ca), rekorHandler({ publicKey: tlog.publicKey, log })]
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const handler = handlers.find(({ path }) => path === request.url)
    const answer = await handler?.fn(Buffer.concat(chunks).toString('utf8'))
    response.writeHead(answer?.statusCode ?? 404, { 'content-type': 'application/json' })
    response.end(answer?.response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const trusted = (publicKey: Buffer, logId: Buffer) => ({
    baseUrl: url,
    hashAlgorithm: 'SHA2_256',
    publicKey: {
      rawBytes: publicKey.toString('base64'),
      keyDetails: 'PKIX_ECDSA_P256_SHA_256',
      validFor: { start: before },
    },
    logId: { keyId: logId.toString('base64') },
  })
  const root = {
    mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
    certificateAuthorities: [
      {
        subject: { organization: 'test', commonName: 'test' },
        uri: url,
        certChain: { certificates: [{ rawBytes: ca.rootCertificate.toString('base64') }] },
        validFor: { start: before },
      },
    ],
    tlogs: [trusted(tlog.publicKey, createHash('sha256').update(tlog.publicKey).digest())],
    ctlogs: [trusted(ctlog.publicKey, ctlog.logID)],
    timestampAuthorities: [],
  }
  return {
    root: JSON.stringify(root),
    urls: { fulcioUrl: url, rekorUrl: url },
    close: () => new Promise<void>((resolve) => void server.close(() => resolve())),
  }
}
