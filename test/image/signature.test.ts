// Signatures of images: by a key in a file, and by an identity, against the stand-ins of the services.

import { createHash, generateKeyPairSync, type KeyPairKeyObjectResult, sign } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { fulcioHandler, initializeCA, initializeTLog, rekorHandler } from '@sigstore/mock'
import { beforeAll, describe, expect, it } from 'vitest'
import { descriptorOf, jsonBlob } from '../../src/image/build.js'
import { MEDIA_TYPE } from '../../src/image/config.js'
import type { Statement } from '../../src/image/provenance.js'
import { signStatement } from '../../src/image/sign.js'
import { openBundle, openKeylessBundle } from '../../src/image/signature.js'
import { expectFailure, mcbn } from '../cli/command.js'
import { temporaryFolder } from '../support/paths.js'

const INVALID = { code: 'MCBN_IMAGE_INVALID' }
const DIGEST = `sha256:${'ab'.repeat(32)}`
const ISSUER = 'https://issuer.test'

function statementAbout(digest: string): Statement {
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: 'server', digest: { sha256: digest.slice('sha256:'.length) } }],
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {},
  }
}

function keyPair(type: 'ed25519' | 'ec' | 'rsa' = 'ed25519') {
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

/** A bundle with another payload under the same signature. */
function altered(bundle: string, payload: object): string {
  const copy = JSON.parse(bundle) as { dsseEnvelope: { payload: string } }
  copy.dsseEnvelope.payload = Buffer.from(JSON.stringify(payload)).toString('base64')
  return JSON.stringify(copy)
}

describe('image/signature by a key', () => {
  const statement = statementAbout(DIGEST)

  it.each(['ed25519', 'ec', 'rsa'] as const)('holds for %s, and for no other key', async (type) => {
    const { privateKey, publicKey } = keyPair(type)
    const bundle = JSON.stringify(await signStatement(statement, { key: privateKey }))
    expect(bundle).not.toContain(privateKey.split('\n')[1])
    expect(openBundle(bundle, publicKey)).toEqual(statement)
    expect(() => openBundle(bundle, keyPair(type).publicKey)).toThrow(/not of this key/)
    expect(() => openBundle(altered(bundle, {}), publicKey)).toThrow(/not of this key/)
    expect(() => openBundle('{}', publicKey)).toThrow(/expected a Sigstore bundle/)
  })

  it('refuses what is no key, and does not quote it', async () => {
    await expect(signStatement(statement, { key: 'secret' })).rejects.toMatchObject({
      code: 'MCBN_OPTION_RANGE',
      message: expect.not.stringContaining('secret'),
    })
  })

  it('refuses a signature under anything but such a statement', async () => {
    const { privateKey, publicKey } = keyPair()
    const other = { ...statement, predicateType: 'https://example.test/other' } as never
    const bundle = JSON.stringify(await signStatement(other, { key: privateKey }))
    expect(() => openBundle(bundle, publicKey)).toThrow(/expected an in-toto statement/)
  })
})

describe('image/signature by an identity', () => {
  let services: Awaited<ReturnType<typeof sigstore>>
  let bundle: string
  const by = () => ({ identity: 'me@example.test', issuer: ISSUER, trustedRoot: services.root })

  beforeAll(async () => {
    services = await sigstore()
    const signed = await signStatement(statementAbout(DIGEST), { ...services.urls, identityToken })
    bundle = JSON.stringify(signed)
    return services.close
  })

  it('holds for the identity that the authority vouched for, and for no other', async () => {
    expect(await openKeylessBundle(bundle, by())).toEqual(statementAbout(DIGEST))
    for (const other of [
      { identity: 'e@example.test' },
      { identity: '.*' },
      { issuer: 'https://x' },
    ]) {
      await expect(openKeylessBundle(bundle, { ...by(), ...other })).rejects.toMatchObject({
        ...INVALID,
        message: expect.stringMatching(
          /it is of me@example\.test, vouched for by https:\/\/issuer/,
        ),
      })
    }
  })

  it('holds for no other payload, authority or log, and for no key', async () => {
    const changed = altered(bundle, statementAbout(`sha256:${'cd'.repeat(32)}`))
    await expect(openKeylessBundle(changed, by())).rejects.toMatchObject(INVALID)
    const other = await sigstore()
    await other.close()
    const { certificateAuthorities, tlogs, ctlogs } = JSON.parse(other.root)
    for (const part of [{ certificateAuthorities }, { tlogs }, { ctlogs }]) {
      const trustedRoot = JSON.stringify({ ...JSON.parse(services.root), ...part })
      await expect(openKeylessBundle(bundle, { ...by(), trustedRoot })).rejects.toMatchObject(
        INVALID,
      )
    }
    const keyed = await signStatement(statementAbout(DIGEST), { key: keyPair().privateKey })
    await expect(openKeylessBundle(JSON.stringify(keyed), by())).rejects.toMatchObject(INVALID)
  })

  it('quotes no token that it cannot read', async () => {
    for (const secret of ['secret', 'a.secret.c', 'a.e30.secret']) {
      const made = signStatement(statementAbout(DIGEST), {
        ...services.urls,
        identityToken: secret,
      })
      await expect(made).rejects.toMatchObject({
        code: 'MCBN_OPTION_RANGE',
        message: expect.not.stringContaining('secret'),
      })
    }
  })

  it('is made and checked by the command', async () => {
    const { layout, digest, files } = signable()
    files({ token: identityToken, 'root.json': services.root })
    const { fulcioUrl, rekorUrl } = services.urls
    const options = { cwd: dirname(layout) }
    const sign = ['image', 'sign', 'server.oci', '--keyless', '--identity-token', 'token']
    const made = await mcbn([...sign, '--fulcio', fulcioUrl, '--rekor', rekorUrl], options)
    expect(made.exit, made.report()).toEqual({ code: 0, signal: null })
    const check = ['image', 'verify-signature', 'server.oci', '--trusted-root', 'root.json']
    const right = ['--identity', 'me@example.test', '--issuer', ISSUER]
    const checked = await mcbn([...check, ...right], options)
    expect(checked.exit, checked.report()).toEqual({ code: 0, signal: null })
    expect(checked.stdout).toBe(`${digest}: signed by me@example.test, vouched for by ${ISSUER}\n`)
    expectFailure(await mcbn([...check, ...right.slice(0, 2)], options), 2, /--issuer/)
  })
})

describe('mcbn image sign', () => {
  it('signs with a key in a file; verify-signature tells whose, and about which image', async () => {
    const { layout, digest, files } = signable()
    const { privateKey, publicKey } = keyPair()
    files({ 'key.pem': privateKey, 'pub.pem': publicKey, 'other.pem': keyPair().publicKey })
    const options = { cwd: dirname(layout) }
    const signed = await mcbn(['image', 'sign', 'server.oci', '--key', 'key.pem'], options)
    expect(signed.exit, signed.report()).toEqual({ code: 0, signal: null })
    const bundle = 'server.oci.provenance.sigstore.json'
    expect(signed.stdout).toBe(`${digest}: signed, in ${bundle}\n`)
    const check = async (...args: string[]) => {
      const { exit, stdout } = await mcbn(['image', 'verify-signature', ...args], options)
      return { code: exit.code, stdout }
    }
    expect(await check('server.oci', '--key', 'pub.pem')).toEqual({
      code: 0,
      stdout: `${digest}: signed by pub.pem\n`,
    })
    expect(await check(digest, '--bundle', bundle, '--key', 'pub.pem')).toMatchObject({ code: 0 })
    expect(await check('server.oci', '--key', 'other.pem')).toEqual({
      code: 1,
      stdout: `${digest}: not signed by other.pem: signature: it is not of this key\n`,
    })
    const other = await check(DIGEST, '--bundle', bundle, '--key', 'pub.pem')
    expect(other.code).toBe(1)
    expect(other.stdout).toMatch(`expected a statement about ${DIGEST}, got one about ${digest}`)
    expect(readFileSync(join(dirname(layout), bundle), 'utf8')).not.toContain('PRIVATE')
  })

  it('signs no statement about another image', async () => {
    const { layout, files } = signable()
    files({
      'key.pem': keyPair().privateKey,
      'server.oci.provenance.json': JSON.stringify(statementAbout(DIGEST)),
    })
    const made = await mcbn(['image', 'sign', layout, '--key', 'key.pem'], { cwd: dirname(layout) })
    expectFailure(made, 2, /expected a statement about sha256:/)
  })

  it.each([
    [['sign', 'x'], /expected one of --key <file> and --keyless/],
    [['sign', 'x', '--key', 'k', '--keyless'], /expected one of --key <file> and --keyless/],
    [['verify-signature', DIGEST, '--key', 'k'], /--bundle: expected a file/],
    [['verify-signature', 'x'], /expected one of --key <file> and --identity <name>/],
  ])('refuses %j', async (args, reason) => {
    const { layout } = signable()
    const given = args.map((arg) => (arg === 'x' ? layout : arg))
    expectFailure(await mcbn(['image', ...given]), 2, reason)
  })
})

/** A layout as small as one can be, with its provenance beside it. */
function signable() {
  const folder = temporaryFolder()
  const layout = join(folder, 'server.oci')
  const config = jsonBlob(MEDIA_TYPE.config, { os: 'linux' })
  const manifest = jsonBlob(MEDIA_TYPE.manifest, { config: descriptorOf(config), layers: [] })
  const blob = ({ digest }: { digest: string }) => `server.oci/blobs/${digest.replace(':', '/')}`
  const files = (all: Readonly<Record<string, string | Uint8Array>>) => {
    for (const [name, bytes] of Object.entries(all)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true })
      writeFileSync(join(folder, name), bytes)
    }
  }
  files({
    'server.oci/index.json': JSON.stringify({ manifests: [descriptorOf(manifest)] }),
    [blob(config)]: config.bytes,
    [blob(manifest)]: manifest.bytes,
    'server.oci.provenance.json': JSON.stringify(statementAbout(manifest.digest)),
  })
  return { layout, digest: manifest.digest, files }
}

/** Not signed: the stand-in believes it. */
const identityToken = `e30.${Buffer.from(JSON.stringify({ sub: 'me@example.test', iss: ISSUER })).toString('base64url')}.x`

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
async function sigstore() {
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
