// The doc comment of each option says the default that the code has.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CONSUL_DEFAULTS } from '../../src/discovery/consul.js'
import { DNS_SRV_DEFAULTS } from '../../src/discovery/dns.js'
import { DTLS_DEFAULTS } from '../../src/dtls/types.js'
import { TLS_DEFAULTS } from '../../src/tls/types.js'
import { repositoryRoot } from '../support/paths.js'

/** Option and `@defaultValue`, of every interface in the files. */
function documentedIn(files: string): Map<string, string> {
  const text = (file: string): string => readFileSync(join(repositoryRoot, file), 'utf8')
  const source = files.split(', ').map(text).join('\n')
  const options = source.matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*readonly (\w+)\??:/g)
  const defaults = new Map<string, string>()
  for (const [, comment, option] of options) {
    const value = comment?.match(/@defaultValue ([^\n]*?)\s*(?:\n|$)/)?.[1]
    if (value !== undefined) defaults.set(`${option}`, value)
  }
  return defaults
}

describe.each([
  ['src/tls/types.ts', TLS_DEFAULTS],
  ['src/dtls/types.ts, src/dtls/versions.ts', DTLS_DEFAULTS],
  ['src/discovery/dns.ts', DNS_SRV_DEFAULTS],
  ['src/discovery/consul.ts', CONSUL_DEFAULTS],
])('docs/defaults in %s', (files, defaults) => {
  const documented = documentedIn(files)

  it.each(Object.entries(defaults))('%s is documented as %s', (option, value) => {
    const written = documented.get(option)
    if (value === undefined) {
      // Needed, absent by default, or chosen by the system: whatever is written, it is no fixed value.
      return expect(written ?? '', option).not.toMatch(/^('.*'|[\d_]+|true|false)$/)
    }
    const plain = written?.replace(/^'(.*)'$/, '$1').replace(/(?<=\d)_(?=\d)/g, '')
    expect(plain, `${option}: ${written}`).toBe(String(value))
  })
})
