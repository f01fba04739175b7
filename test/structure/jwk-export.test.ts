// On Node 20 a process stands still for ever when garbage is collected while a key that generateKeyPair() made there
// goes out as a JWK (src/consent/base/keys.ts).

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { repositoryRoot } from '../support/paths.js'

/** Its keys come out of certificates: nothing waits for their mutex. */
const IMPORTED_ONLY = 'src/consent/attestation/jwks.ts'
const AS_JWK = /\.export\(\{[^}]*'jwk'|\bexportJWK\(/

it('a key goes out as a JWK only where it is detached from what made it', () => {
  const found = ['src', 'test', 'bench', 'examples'].flatMap((folder) =>
    readdirSync(join(repositoryRoot, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.includes('node_modules'))
      .map((name) => `${folder}/${name}`)
      .filter((file) => file !== IMPORTED_ONLY)
      .flatMap((file) =>
        readFileSync(join(repositoryRoot, file), 'utf8')
          .split('\n')
          .filter((line) => AS_JWK.test(line) && !line.includes('AS_JWK'))
          .map((line) => ({
            file,
            line: line.trim(),
            detached: line.includes('detachedPublicKey('),
          })),
      ),
  )
  expect(found.length).toBeGreaterThan(0)
  expect(found.filter(({ detached }) => !detached)).toEqual([])
})
