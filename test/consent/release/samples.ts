// Messages of a release that are well formed, and signed by nobody.

export const b64 = (length: number) => Buffer.alloc(length, 0xa5).toString('base64url')

export const REQUEST = {
  v: 'mcbn/1',
  dh: b64(32),
  role: 'client',
  pk: b64(32),
  suite: '0020-0001-0002',
  r: b64(32),
  instance: b64(16),
} as const

export const RELEASE = {
  v: 'mcbn/1',
  label: 'bob',
  dh: b64(32),
  role: 'server',
  c: b64(32),
  tokenHash: b64(32),
  header: { releaseId: b64(16), epoch: 1, issuedAt: 2, notAfter: 3, leaseSeconds: 600 },
  enc: b64(32),
  ciphertext: b64(48),
  signature: b64(64),
}
