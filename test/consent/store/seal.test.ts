import { describe, expect, it } from 'vitest'
import { openSecrets, type SealedSecrets, sealSecrets } from '../../../src/consent/store/seal.js'

const secrets = Buffer.from('32 bytes of somebody, and more')
const aad = Buffer.from('alice')
const keyFile = Buffer.from(Array.from({ length: 32 }, (_, at) => at * 7))
const passphrase = 'correct horse battery staple'

describe('store/seal with a key file', () => {
  it('gives back what was sealed', async () => {
    const sealed = await sealSecrets(secrets, { keyFile }, aad)
    expect(await openSecrets(JSON.parse(JSON.stringify(sealed)), { keyFile }, aad)).toEqual(secrets)
  })

  it('makes salt, nonce and ciphertext anew each time, and shows no secret', async () => {
    const [one, two] = [
      await sealSecrets(secrets, { keyFile }, aad),
      await sealSecrets(secrets, { keyFile }, aad),
    ]
    expect(one.kdf.salt).not.toBe(two.kdf.salt)
    expect(one.nonce).not.toBe(two.nonce)
    expect(one.ciphertext.slice(0, 8)).not.toBe(two.ciphertext.slice(0, 8))
    expect(JSON.stringify(one)).not.toContain(secrets.toString('base64url').slice(0, 8))
  })

  it('refuses another key file', async () => {
    const sealed = await sealSecrets(secrets, { keyFile }, aad)
    const other = Buffer.from(keyFile).reverse()
    await expect(openSecrets(sealed, { keyFile: other }, aad)).rejects.toMatchObject({
      code: 'MCBN_STORE_INVALID',
      message: expect.stringContaining('key file'),
    })
  })

  it('refuses another aad', async () => {
    const sealed = await sealSecrets(secrets, { keyFile }, aad)
    await expect(openSecrets(sealed, { keyFile }, Buffer.from('bob'))).rejects.toMatchObject({
      code: 'MCBN_STORE_INVALID',
    })
  })

  it('refuses each altered byte of salt, nonce, ciphertext and tag', async () => {
    const sealed = await sealSecrets(secrets, { keyFile }, aad)
    const flip = (text: string, at: number) => {
      const bytes = Buffer.from(text, 'base64url')
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
      return bytes.toString('base64url')
    }
    const altered: SealedSecrets[] = [
      { ...sealed, kdf: { ...sealed.kdf, salt: flip(sealed.kdf.salt, 31) } },
      { ...sealed, nonce: flip(sealed.nonce, 0) },
    ]
    for (let at = 0; at < secrets.length + 16; at += 1) {
      altered.push({ ...sealed, ciphertext: flip(sealed.ciphertext, at) })
    }
    for (const each of altered) {
      await expect(openSecrets(each, { keyFile }, aad)).rejects.toMatchObject({
        code: 'MCBN_STORE_INVALID',
      })
    }
  })

  it('refuses a file that is not what it should be, naming the field', async () => {
    const sealed = await sealSecrets(secrets, { keyFile }, aad)
    const salt = sealed.kdf.salt
    const bad: [unknown, string][] = [
      [null, 'sealed secrets'],
      ['text', 'sealed secrets'],
      [[], 'sealed secrets'],
      [{ ...sealed, more: 1 }, 'expected only'],
      [JSON.parse(JSON.stringify(sealed).replace('{', '{"__proto__":{"a":1},')), 'expected only'],
      [{ ...sealed, version: 'mcbn/2' }, 'version'],
      [{ ...sealed, cipher: 'aes-128-gcm' }, 'cipher'],
      [{ ...sealed, nonce: `${sealed.nonce}AA` }, 'nonce'],
      [{ ...sealed, ciphertext: '' }, 'ciphertext'],
      [{ ...sealed, ciphertext: 'A'.repeat(100_000) }, 'ciphertext'],
      [{ ...sealed, ciphertext: 7 }, 'ciphertext'],
      [{ ...sealed, kdf: { name: 'md5', salt } }, 'kdf.name'],
      [{ ...sealed, kdf: { name: 'hkdf-sha256', salt: 'AA' } }, 'kdf.salt'],
      [{ ...sealed, kdf: { name: 'hkdf-sha256', salt, r: 8 } }, 'expected only'],
      [{ ...sealed, kdf: null }, 'kdf.name'],
    ]
    for (const [value, what] of bad) {
      await expect(openSecrets(value, { keyFile }, aad)).rejects.toMatchObject({
        code: 'MCBN_STORE_INVALID',
        message: expect.stringContaining(what),
      })
    }
  })
})

describe('store/seal with a passphrase', () => {
  it('gives back what was sealed, by scrypt with N = 2^17, r = 8, p = 1 (RFC 7914)', async () => {
    const sealed = await sealSecrets(secrets, { passphrase }, aad)
    expect(sealed.kdf).toMatchObject({ name: 'scrypt', log2n: 17, r: 8, p: 1 })
    expect(await openSecrets(sealed, { passphrase: Buffer.from(passphrase) }, aad)).toEqual(secrets)
    await expect(openSecrets(sealed, { passphrase: `${passphrase}!` }, aad)).rejects.toMatchObject({
      code: 'MCBN_STORE_INVALID',
      message: expect.stringContaining('passphrase'),
    })
    await expect(openSecrets(sealed, { keyFile }, aad)).rejects.toMatchObject({
      code: 'MCBN_STORE_INVALID',
      message: expect.stringContaining('got a key file'),
    })
  })

  it('takes one passphrase for every spelling of its accents (normal form C)', async () => {
    const sealed = await sealSecrets(secrets, { passphrase: 'caf\u00e9 au lait' }, aad)
    expect(await openSecrets(sealed, { passphrase: 'cafe\u0301 au lait' }, aad)).toEqual(secrets)
  })

  it('refuses a file that asks for 100 GB, at once', async () => {
    const salt = Buffer.alloc(32, 5).toString('base64url')
    const file = {
      version: 'mcbn/1',
      cipher: 'aes-256-gcm',
      nonce: Buffer.alloc(12).toString('base64url'),
      ciphertext: Buffer.alloc(60).toString('base64url'),
    }
    const costs = [
      { log2n: 27, r: 8, p: 1 },
      { log2n: 17, r: 1024, p: 1 },
      { log2n: 17, r: 8, p: 1000 },
      { log2n: 1, r: 8, p: 1 },
      { log2n: 17.5, r: 8, p: 1 },
      { log2n: '17', r: 8, p: 1 },
    ]
    for (const cost of costs) {
      const sealed = { ...file, kdf: { name: 'scrypt', ...cost, salt } }
      await expect(openSecrets(sealed, { passphrase }, aad)).rejects.toMatchObject({
        code: 'MCBN_STORE_INVALID',
        message: expect.stringMatching(/kdf\.(log2n|r|p): expected an integer/),
      })
    }
  })
})

describe('store/seal refuses a lock that locks nothing', () => {
  const cases: [string, unknown, string][] = [
    ['no lock', {}, 'MCBN_OPTION_TYPE'],
    ['undefined', undefined, 'MCBN_OPTION_TYPE'],
    ['both', { passphrase, keyFile }, 'MCBN_OPTION_CONFLICT'],
    ['a short passphrase', { passphrase: '1234567' }, 'MCBN_OPTION_RANGE'],
    ['a number', { passphrase: 12345678 }, 'MCBN_OPTION_TYPE'],
    ['a short key file', { keyFile: keyFile.subarray(1) }, 'MCBN_OPTION_RANGE'],
    ['a key file of zeros', { keyFile: Buffer.alloc(32) }, 'MCBN_OPTION_RANGE'],
    ['text for a key file', { keyFile: 'x'.repeat(32) }, 'MCBN_OPTION_TYPE'],
  ]
  it.each(cases)('%s', async (_name, lock, code) => {
    await expect(sealSecrets(secrets, lock as never, aad)).rejects.toMatchObject({ code })
  })

  it('and wipes nothing that the caller owns', async () => {
    const mine = Buffer.from(keyFile)
    await sealSecrets(secrets, { keyFile: mine }, aad)
    expect(mine).toEqual(keyFile)
    expect(secrets.toString()).toContain('somebody')
  })
})
