// Secrets whose key a service wraps: services that are wrong or hostile; programs; Debian's openssl, and a token
// (PKCS#11) by softhsm2.

import { execFileSync } from 'node:child_process'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { keyCommand } from '../../../src/consent/store/key-command.js'
import { createStore, openStore } from '../../../src/consent/store/open.js'
import {
  type KeyWrapper,
  openSecrets,
  type SealedSecrets,
  sealSecrets,
} from '../../../src/consent/store/seal.js'
import { temporaryFolder } from '../../support/paths.js'
import { requirePeer } from '../../support/peers.js'

const SECRETS = Buffer.from('32 bytes of somebody, and more')
const AAD = Buffer.from('alice')
const INVALID = { code: 'MCBN_STORE_INVALID' }

/** Wraps by a mask that only it knows. */
function service(changes: Partial<KeyWrapper> = {}) {
  const mask = Buffer.alloc(32, 0x5a)
  const turned = (bytes: Uint8Array) => Buffer.from(bytes.map((byte, at) => byte ^ (mask[at] ?? 0)))
  const asked: string[] = []
  const keyWrapper: KeyWrapper = {
    wrap: async (key) => {
      asked.push('wrap')
      return turned(key)
    },
    unwrap: async (wrapped) => {
      asked.push('unwrap')
      return turned(wrapped)
    },
    ...changes,
  }
  return { lock: { keyWrapper }, asked }
}

describe('store/key service', () => {
  it.each<[string, Partial<KeyWrapper>, RegExp]>([
    ['gives the key back as it is', { wrap: async (key) => key }, /got one that shows the key/],
    [
      'hides the key among other bytes',
      { wrap: async (key) => Buffer.concat([Buffer.alloc(9), key]) },
      /got one that shows the key/,
    ],
    ['wraps to nothing', { wrap: async () => Buffer.alloc(0) }, /1 to 4096 wrapped bytes, got 0/],
    ['wraps to a flood', { wrap: async () => Buffer.alloc(4_097, 1) }, /got 4097/],
    ['fails', { wrap: () => Promise.reject(new Error('no network')) }, /no network/],
  ])('seals nothing where the service %s', async (_, changes, message) => {
    await expect(sealSecrets(SECRETS, service(changes).lock, AAD)).rejects.toThrow(message)
  })

  it.each<[string, Partial<KeyWrapper>, RegExp]>([
    ['gives a key of another length', { unwrap: async () => Buffer.alloc(16) }, /32 bytes, got 16/],
    ['gives another key', { unwrap: async () => Buffer.alloc(32, 7) }, /one of them differs/],
    ['fails', { unwrap: () => Promise.reject(new Error('denied')) }, /denied/],
  ])('opens nothing where the service %s', async (_, changes, message) => {
    const sealed = await sealSecrets(SECRETS, service().lock, AAD)
    await expect(openSecrets(sealed, service(changes).lock, AAD)).rejects.toThrow(message)
  })

  it('opens nothing with another kind of lock, or where the wrapped key was altered', async () => {
    const { lock } = service()
    const sealed = await sealSecrets(SECRETS, lock, AAD)
    const keyFile = Buffer.from(Array.from({ length: 32 }, (_, at) => at * 7))
    await expect(openSecrets(sealed, { keyFile }, AAD)).rejects.toThrow(/the key service that/)
    const byFile = await sealSecrets(SECRETS, { keyFile }, AAD)
    await expect(openSecrets(byFile, lock, AAD)).rejects.toThrow(/the key file that .* got a key/)
    await expect(openSecrets(sealed, { ...lock, keyFile } as never, AAD)).rejects.toMatchObject({
      code: 'MCBN_OPTION_CONFLICT',
    })
    const kdf = sealed.kdf as Extract<SealedSecrets['kdf'], { name: 'wrapped' }>
    const wrapped = Buffer.from(kdf.wrapped, 'base64url')
    for (let at = 0; at < wrapped.length; at++) {
      const other = Buffer.from(wrapped)
      other[at] = (other[at] ?? 0) ^ 1
      const altered = { ...sealed, kdf: { ...kdf, wrapped: other.toString('base64url') } }
      await expect(openSecrets(altered, lock, AAD)).rejects.toMatchObject(INVALID)
    }
    for (const wrong of [
      { ...kdf, wrapped: '' },
      { ...kdf, wrapped: 'A'.repeat(6_000) },
      { ...kdf, wrapped: 7 },
      { name: 'wrapped', salt: kdf.salt },
      { name: 'hkdf-sha256', salt: kdf.salt, wrapped: kdf.wrapped },
    ]) {
      await expect(openSecrets({ ...sealed, kdf: wrong }, lock, AAD)).rejects.toMatchObject(INVALID)
    }
  })

  it('asks once to seal, about a new key each time, and once to open', async () => {
    const { lock, asked } = service()
    const one = await sealSecrets(SECRETS, lock, AAD)
    const two = await sealSecrets(SECRETS, lock, AAD)
    expect(one.kdf).not.toMatchObject({ wrapped: (two.kdf as { wrapped: string }).wrapped })
    expect(await openSecrets(JSON.parse(JSON.stringify(one)), lock, AAD)).toEqual(SECRETS)
    expect(asked).toEqual(['wrap', 'wrap', 'unwrap'])
  })
})

/** A program of this text, in sh. */
function script(folder: string, name: string, text: string): string {
  const file = join(folder, name)
  writeFileSync(file, `#!/bin/sh\nset -eu\n${text}\n`)
  chmodSync(file, 0o700)
  return file
}

describe('store/key command', () => {
  it.each([
    ['ends with an error', 'exit 3', /expected a key service that answers, got exit code 3/],
    ['is ended', 'kill -9 $$', /got an end by SIGKILL/],
    ['says more than it may', 'yes', /got more than 4096 bytes/],
    ['does not read', 'exec true', /1 to 4096 wrapped bytes, got 0/],
  ])('refuses one that %s', async (_, text, message) => {
    const program = script(temporaryFolder(), 'service', text)
    const lock = { keyWrapper: keyCommand([program]) }
    await expect(sealSecrets(SECRETS, lock, AAD)).rejects.toThrow(message)
  })

  it('refuses one that is not there, or may not be run', async () => {
    const folder = temporaryFolder()
    const program = join(folder, 'none')
    const seal = () => sealSecrets(SECRETS, { keyWrapper: keyCommand([program]) }, AAD)
    await expect(seal()).rejects.toThrow(/got ENOENT/)
    writeFileSync(program, 'x', { mode: 0o600 })
    await expect(seal()).rejects.toThrow(/got EACCES/)
  })
})

describe.runIf(requirePeer('openssl'))('store/key command by openssl', () => {
  it("keeps a participant's folder, which opens with it and with nothing else", async () => {
    const folder = temporaryFolder()
    const key = join(folder, 'key.pem')
    execFileSync('openssl', ['genrsa', '-out', key, '2048'], { stdio: 'ignore' })
    const oaep = '-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256'
    const program = script(
      folder,
      'service',
      `case $1 in
wrap) exec openssl pkeyutl -encrypt -inkey ${key} ${oaep} ;;
unwrap) exec openssl pkeyutl -decrypt -inkey ${key} ${oaep} ;;
esac`,
    )
    const lock = { keyWrapper: keyCommand([program]) }
    const dir = join(folder, 'alice')
    const store = await createStore(dir, lock, { label: 'alice' })
    const { publicKeys } = store
    await store.close()
    const kept = readFileSync(join(dir, 'secrets.json'), 'utf8')
    expect(JSON.parse(kept).kdf).toMatchObject({
      name: 'wrapped',
      wrapped: expect.stringMatching(/^.{342}$/),
    })
    const again = await openStore(dir, lock)
    expect(again.publicKeys).toEqual(publicKeys)
    await again.close()
    execFileSync('openssl', ['genrsa', '-out', key, '2048'], { stdio: 'ignore' })
    await expect(openStore(dir, lock)).rejects.toThrow(/got exit code 1|one of them differs/)
  })
})

describe.runIf(requirePeer('softhsm2-util', 'pkcs11-tool', 'openssl'))(
  'store/key command by a token',
  () => {
    it('wraps to a key that never leaves it (PKCS#11)', async () => {
      const folder = temporaryFolder()
      const conf = join(folder, 'softhsm2.conf')
      writeFileSync(conf, `directories.tokendir = ${folder}\nobjectstore.backend = file\n`)
      const env = { ...process.env, SOFTHSM2_CONF: conf }
      const run = (program: string, ...args: string[]) =>
        execFileSync(program, args, { env, stdio: ['ignore', 'pipe', 'ignore'], cwd: folder })
      const pin = ['--pin', '1234']
      run('softhsm2-util', '--init-token', '--free', '--label', 't', ...pin, '--so-pin', '1234')
      const tool = ['--module', '/usr/lib/softhsm/libsofthsm2.so', '--token-label', 't']
      const made = ['--keypairgen', '--key-type', 'rsa:2048', '--id', '01', '--label', 'k']
      run('pkcs11-tool', ...tool, '--login', ...pin, ...made)
      run('pkcs11-tool', ...tool, '--read-object', '--type', 'pubkey', '--id', '01', '-o', 'pub')
      const program = script(
        folder,
        'service',
        `export SOFTHSM2_CONF=${conf}
case $1 in
wrap) exec openssl pkeyutl -encrypt -pubin -keyform DER -inkey ${join(folder, 'pub')} -pkeyopt rsa_padding_mode:oaep ;;
unwrap) cat | pkcs11-tool ${tool.join(' ')} --login --pin 1234 --decrypt -m RSA-PKCS-OAEP \\
  --hash-algorithm SHA-1 --mgf MGF1-SHA1 --id 01 --input-file /dev/stdin --output-file /dev/stdout 2>/dev/null | cat ;;
esac`,
      )
      const lock = { keyWrapper: keyCommand([program]) }
      const sealed = await sealSecrets(SECRETS, lock, AAD)
      expect(await openSecrets(sealed, lock, AAD)).toEqual(SECRETS)
      const other = {
        ...sealed,
        ciphertext: sealed.ciphertext.replace(/^./, (c) => (c === 'A' ? 'B' : 'A')),
      }
      await expect(openSecrets(other, lock, AAD)).rejects.toMatchObject(INVALID)
    })
  },
)
