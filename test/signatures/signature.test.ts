// Signatures of images: by a key in a file, and by an identity, against the stand-ins of the services.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { descriptorOf, jsonBlob } from '../../src/image/build.js'
import { MEDIA_TYPE } from '../../src/image/config.js'
import { openBundle, openKeylessBundle } from '../../src/signatures/bundle.js'
import { signStatement } from '../../src/signatures/sign.js'
import { statementAbout } from '../../src/signatures/statement.js'
import { expectFailure, mcbn } from '../cli/command.js'
import { temporaryFolder } from '../support/paths.js'
import { ISSUER, identityToken, keyPair, sigstore } from '../support/sigstore.js'

const INVALID = { code: 'MCBN_IMAGE_INVALID' }
const DIGEST = `sha256:${'ab'.repeat(32)}`

function about(digest: string) {
  return statementAbout('provenance', 'server', digest, {})
}

/** A bundle with another payload under the same signature. */
function altered(bundle: string, payload: object): string {
  const copy = JSON.parse(bundle) as { dsseEnvelope: { payload: string } }
  copy.dsseEnvelope.payload = Buffer.from(JSON.stringify(payload)).toString('base64')
  return JSON.stringify(copy)
}

describe('signatures by a key', () => {
  const statement = about(DIGEST)

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

describe('signatures by an identity', () => {
  let services: Awaited<ReturnType<typeof sigstore>>
  let bundle: string
  const by = () => ({ identity: 'me@example.test', issuer: ISSUER, trustedRoot: services.root })

  beforeAll(async () => {
    services = await sigstore()
    const signed = await signStatement(about(DIGEST), { ...services.urls, identityToken })
    bundle = JSON.stringify(signed)
    return services.close
  })

  it('holds for the identity that the authority vouched for, and for no other', async () => {
    expect(await openKeylessBundle(bundle, by())).toEqual(about(DIGEST))
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
    const changed = altered(bundle, about(`sha256:${'cd'.repeat(32)}`))
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
    const keyed = await signStatement(about(DIGEST), { key: keyPair().privateKey })
    await expect(openKeylessBundle(JSON.stringify(keyed), by())).rejects.toMatchObject(INVALID)
  })

  it('quotes no token that it cannot read', async () => {
    for (const secret of ['secret', 'a.secret.c', 'a.e30.secret']) {
      const made = signStatement(about(DIGEST), {
        ...services.urls,
        identityToken: secret,
      })
      await expect(made).rejects.toMatchObject({
        code: 'MCBN_OPTION_RANGE',
        message: expect.not.stringContaining('secret'),
      })
    }
  })

  it('says where a token comes from when there is none', async () => {
    const { layout } = signable()
    const env = { SIGSTORE_ID_TOKEN: undefined, GITHUB_ACTIONS: undefined, CI: undefined }
    const options = { cwd: dirname(layout), env }
    const { fulcioUrl } = services.urls
    const sign = ['image', 'sign', 'server.oci', '--keyless', '--fulcio', fulcioUrl]
    const hint = /expected an identity token, found none: give --identity-token .*SIGSTORE_ID_TOKEN/
    expectFailure(await mcbn(sign, options), 1, hint)
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
      'server.oci.provenance.json': JSON.stringify(about(DIGEST)),
    })
    const made = await mcbn(['image', 'sign', layout, '--key', 'key.pem'], { cwd: dirname(layout) })
    expectFailure(made, 1, /expected a statement about sha256:/)
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
    'server.oci.provenance.json': JSON.stringify(about(manifest.digest)),
  })
  return { layout, digest: manifest.digest, files }
}
