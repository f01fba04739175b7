import { describe, expect, it } from 'vitest'
import { UsageError } from '../../src/cli/exit.js'
import { formatTarget, parseTarget } from '../../src/cli/url.js'

describe('cli/url', () => {
  it.each([
    ['', /expected tls:/],
    ['8081', /expected tls:/],
    ['127.0.0.1:8081', /expected tls:/],
    ['https://127.0.0.1:8081', /expected tls:\/\/ \(over TCP\) or dtls:\/\/ \(over UDP\)/],
    ['tls://', /host is missing/],
    ['tls://:8081', /host is missing/],
    ['tls://127.0.0.1', /port is missing/],
    ['tls://127.0.0.1:', /port is missing/],
    ['tls://127.0.0.1:65536', /port from 0 to 65535/],
    ['tls://127.0.0.1:-1', /expected tls:/],
    ['tls://127.0.0.1:0x50', /expected tls:/],
    ['tls://127.0.0.256:1', /no IPv4 address/],
    ['tls://::1:8081', /IPv6 in brackets/],
    ['tls://[127.0.0.1]:8081', /IPv6 address between the brackets/],
    ['tls://[::g]:8081', /IPv6 address between the brackets/],
    ['tls://host:1/path', /expected tls:/],
    ['tls://host:1?query', /expected tls:/],
    ['tls://ho st:1', /expected tls:/],
  ])('refuses %j and says what it takes', (text, reason) => {
    expect(() => parseTarget(text)).toThrow(UsageError)
    expect(() => parseTarget(text)).toThrow(reason)
  })

  it('does not repeat what stands before an @, which may be a key', () => {
    expect(() => parseTarget('tls://Client1:c0ffee@host:1')).toThrow(/^(?!.*c0ffee).*\.\.\.@host/)
  })

  it.each([
    ['tls://127.0.0.1:8081', { protocol: 'tls', host: '127.0.0.1', port: 8081 }],
    ['dtls://localhost:0', { protocol: 'dtls', host: 'localhost', port: 0 }],
    ['dtls://[::1]:65535', { protocol: 'dtls', host: '::1', port: 65535 }],
    ['tls://[fe80::1%eth0]:1', { protocol: 'tls', host: 'fe80::1%eth0', port: 1 }],
    ['TLS://Example.org:443/', { protocol: 'tls', host: 'Example.org', port: 443 }],
  ] as const)('reads %s', (text, target) => {
    expect(parseTarget(text)).toEqual(target)
  })

  it.each(['tls://127.0.0.1:8081', 'dtls://[::1]:1', 'tls://[fe80::1%eth0]:1'])(
    'writes %s as it was read',
    (text) => {
      expect(formatTarget(parseTarget(text))).toBe(text)
    },
  )
})
