// The launcher's socket: its stand-in speaks the platform's HTTP, its client survives what can go wrong.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type RequestOptions, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createLauncherAttester,
  createLocalIssuer,
  createLocalVerifier,
  type LocalIssuer,
  type LocalLauncher,
  McbnError,
  serveLauncher,
} from 'mcbn/consent'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Claims, EXPECTED, IMAGE, ISSUER } from '../../support/evidence.js'

let folder = ''
let socketPath = ''
let issuer: LocalIssuer
let launcher: LocalLauncher
let args: readonly string[] = ['serve']

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mcbn-launcher-'))
  socketPath = join(folder, 'teeserver.sock')
  issuer = await createLocalIssuer({ issuer: ISSUER })
  const workload = () => ({ imageDigest: IMAGE, args, env: { A: 'b' } })
  launcher = await serveLauncher({ socketPath, issuer, workload })
})
afterAll(async () => {
  await launcher.close()
  await rm(folder, { recursive: true })
})

interface Answer {
  readonly status: number
  readonly type: string
  readonly text: string
}

function ask(options: RequestOptions, body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: '/v1/token', ...options }, (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('end', () =>
        resolve({
          status: answer.statusCode ?? 0,
          type: `${answer.headers['content-type']}`,
          text: Buffer.concat(chunks).toString(),
        }),
      )
    })
    asked.on('error', reject)
    asked.end(body)
  })
}

const post = (body: unknown): Promise<Answer> =>
  ask({ method: 'POST' }, typeof body === 'string' ? body : JSON.stringify(body))

function payloadOf(token: string): Claims {
  return JSON.parse(Buffer.from(`${token.split('.')[1]}`, 'base64url').toString()) as Claims
}

const good = { audience: 'mcbn://orchard/alice', nonces: ['12345678'], token_type: 'OIDC' }

describe('attestation/launcher, the stand-in', () => {
  it('gives the default token on GET, for the audience that is a credential', async () => {
    const { status, type, text } = await ask({ method: 'GET' })
    expect({ status, type }).toEqual({ status: 200, type: 'text/html' })
    const payload = payloadOf(text)
    expect(payload).toMatchObject({ aud: 'https://sts.googleapis.com', iss: ISSUER })
    expect(payload).not.toHaveProperty('eat_nonce')
  })

  it('writes one nonce as a string, several as an array', async () => {
    expect(payloadOf((await post(good)).text)['eat_nonce']).toBe('12345678')
    const six = ['1', '2', '3', '4', '5', '6'].map((digit) => digit.repeat(88))
    expect(payloadOf((await post({ ...good, nonces: six })).text)['eat_nonce']).toEqual(six)
    expect(payloadOf((await post({ ...good, nonces: null })).text)).not.toHaveProperty('eat_nonce')
  })

  it('makes the claims of a production image, of the types that the platform documents', async () => {
    const payload = payloadOf((await post(good)).text)
    const iat = payload['iat'] as number
    expect(payload).toMatchObject({
      aud: good.audience,
      exp: iat + 3_600,
      nbf: iat,
      secboot: true,
      oemid: 11129,
      hwmodel: 'GCP_INTEL_TDX',
      swname: 'CONFIDENTIAL_SPACE',
      swversion: ['250800'],
      dbgstat: 'disabled-since-boot',
      submods: {
        confidential_space: { support_attributes: ['LATEST', 'STABLE', 'USABLE'] },
        container: { image_digest: IMAGE, restart_policy: 'Never', env: { A: 'b' }, args },
        gce: { project_id: 'local-project', instance_id: '1000000000000000001' },
      },
    })
  })

  const refusals: readonly [string, unknown, number][] = [
    ['an unknown field', { ...good, nonce: 'x' }, 400],
    ['no audience', { ...good, audience: undefined }, 400],
    ['an empty audience', { ...good, audience: '' }, 400],
    ['an audience of 513 bytes', { ...good, audience: 'a'.repeat(513) }, 400],
    ['an audience that is a list', { ...good, audience: ['a'] }, 400],
    ['no token_type', { ...good, token_type: undefined }, 400],
    ['another token_type', { ...good, token_type: 'LIMITED_AWS' }, 400],
    ['options of another token_type', { ...good, aws_principal_tag_options: {} }, 400],
    ['a nonce of 7 bytes', { ...good, nonces: ['1234567'] }, 400],
    ['a nonce of 89 bytes', { ...good, nonces: ['1'.repeat(89)] }, 400],
    ['seven nonces', { ...good, nonces: Array(7).fill('12345678') }, 400],
    ['a nonce that is a number', { ...good, nonces: [12345678] }, 400],
    ['nonces as text', { ...good, nonces: '12345678' }, 400],
    ['what is not JSON', '{', 400],
    ['a list', '[]', 400],
    ['a key __proto__', '{"__proto__":{"audience":"x"},"token_type":"OIDC"}', 400],
    ['70,000 bytes', ' '.repeat(70_000), 413],
  ]
  for (const [name, body, status] of refusals) {
    it(`answers ${status} to ${name}`, async () => {
      const before = launcher.minted
      expect((await post(body)).status).toBe(status)
      expect(launcher.minted).toBe(before)
    })
  }

  it('answers 400 to other methods and 404 to other paths', async () => {
    expect((await ask({ method: 'PUT' }, '{}')).status).toBe(400)
    expect((await ask({ method: 'GET', path: '/v1/evidence' })).status).toBe(404)
  })

  it('keeps its socket to its owner', async () => {
    expect((await stat(socketPath)).mode & 0o777).toBe(0o600)
  })

  it('says so when the socket cannot be made, and leaves the one there alone', async () => {
    const workload = { imageDigest: IMAGE }
    const again = serveLauncher({ socketPath, issuer, workload })
    await expect(again).rejects.toMatchObject({ code: 'MCBN_ATTESTER_FAILED' })
    expect((await post(good)).status).toBe(200)
    const long = serveLauncher({ socketPath: join(folder, 'x'.repeat(108)), issuer, workload })
    await expect(long).rejects.toMatchObject({ code: 'MCBN_OPTION_RANGE' })
  })
})

describe('attestation/launcher, where something is already', () => {
  const workload = { imageDigest: IMAGE }

  it('takes over the socket of a process that was killed', async () => {
    const left = join(folder, 'left.sock')
    const listen = 'require("net").createServer().listen(process.argv[1], () => console.log(1))'
    const child = spawn(process.execPath, ['-e', listen, left])
    await once(child.stdout, 'data')
    child.kill('SIGKILL')
    await once(child, 'exit')
    const next = await serveLauncher({ socketPath: left, issuer, workload })
    const evidence = createLauncherAttester({ socketPath: left, kind: 'local' }).evidence(EXPECTED)
    expect(await evidence).toMatchObject({ kind: 'local' })
    await next.close()
  })

  it('leaves a file alone that is no socket, and a socket that is in use', async () => {
    const file = join(folder, 'file')
    await writeFile(file, 'kept')
    for (const path of [file, socketPath]) {
      await expect(serveLauncher({ socketPath: path, issuer, workload })).rejects.toMatchObject({
        code: 'MCBN_ATTESTER_FAILED',
        message: expect.stringContaining('in use'),
      })
    }
    expect(await readFile(file, 'utf8')).toBe('kept')
  })

  it('names the folder that is missing', async () => {
    const path = join(folder, 'none', 'a.sock')
    await expect(serveLauncher({ socketPath: path, issuer, workload })).rejects.toThrow(
      /a path in a folder that exists/,
    )
  })
})

describe('attestation/launcher, the client', () => {
  const local = () => createLauncherAttester({ socketPath, kind: 'local' })

  it('gets evidence that the verifier accepts, again after the issuer rolled its keys', async () => {
    const expected = { ...EXPECTED, now: Date.now() }
    const old = await local().evidence(EXPECTED)
    await issuer.rotate()
    const verifier = createLocalVerifier({ issuers: [{ issuer: ISSUER, jwks: issuer.jwks() }] })
    expect((await verifier.verify(old, expected)).args).toEqual(['serve'])
    args = ['other']
    const fresh = await local().evidence(EXPECTED)
    expect((await verifier.verify(fresh, expected)).args).toEqual(['other'])
    await issuer.rotate()
    const later = createLocalVerifier({ issuers: [{ issuer: ISSUER, jwks: issuer.jwks() }] })
    await expect(later.verify(old, expected)).rejects.toThrow(/kid/)
    expect(issuer.jwks().keys).toHaveLength(2)
  })

  it('names its kind by the type of token', () => {
    expect(createLauncherAttester().kind).toBe('gcp-cs-oidc')
    expect(createLauncherAttester({ tokenType: 'PKI' }).kind).toBe('gcp-cs-pki')
    expect(() => createLauncherAttester({ tokenType: 'SAML' as 'PKI' })).toThrow(McbnError)
    expect(() => createLauncherAttester({ timeout: 0 })).toThrow(McbnError)
  })

  it('checks what it is asked for before it asks', async () => {
    for (const wrong of [
      { nonce: '1234567', audience: 'a' },
      { nonce: '12345678', audience: '' },
      { nonce: '12345678', audience: 'a'.repeat(513) },
    ]) {
      await expect(local().evidence(wrong)).rejects.toMatchObject({ code: 'MCBN_OPTION_RANGE' })
    }
  })

  it('says of a stand-in without a socket how to have one, not that this is no container', async () => {
    const nowhere = createLauncherAttester({ socketPath: join(folder, 'nowhere'), kind: 'local' })
    await expect(nowhere.evidence(EXPECTED)).rejects.toMatchObject({
      code: 'MCBN_ATTESTER_FAILED',
      message: expect.stringMatching(
        /^local attester: .*nowhere failed; does mcbn attester local run/,
      ),
    })
  })

  it('fails with the cause when there is no socket', async () => {
    const nowhere = createLauncherAttester({ socketPath: join(folder, 'nowhere') })
    await expect(nowhere.evidence(EXPECTED)).rejects.toMatchObject({
      code: 'MCBN_ATTESTER_FAILED',
      kind: 'environment',
      cause: { code: 'ENOENT' },
    })
  })

  const answers: readonly [string, number, string, RegExp][] = [
    [
      'a refusal',
      500,
      'no verifier client\r\n\x1b[31mhere',
      /status 500: no verifier client \[31mhere/,
    ],
    ['a redirect', 302, '', /status 302/],
    ['what is not a token', 200, '<html>', /not a JWT/],
    ['too much', 200, 'x'.repeat(70_000), /more than 65536/],
  ]
  for (const [name, status, body, message] of answers) {
    it(`fails when the launcher answers ${name}`, async () => {
      const path = join(folder, `answers-${status}-${body.length}`)
      const server = createServer((_, answer) => answer.writeHead(status).end(body))
      await new Promise<void>((resolve) => server.listen(path, resolve))
      try {
        const evidence = createLauncherAttester({ socketPath: path }).evidence(EXPECTED)
        await expect(evidence).rejects.toMatchObject({ code: 'MCBN_ATTESTER_FAILED' })
        await expect(evidence).rejects.toThrow(message)
      } finally {
        server.close()
      }
    })
  }

  it('gives up after its timeout, and when nobody waits any more', async () => {
    const path = join(folder, 'silent')
    const server = createServer(() => undefined)
    await new Promise<void>((resolve) => server.listen(path, resolve))
    try {
      const slow = createLauncherAttester({ socketPath: path, timeout: 50 }).evidence(EXPECTED)
      await expect(slow).rejects.toThrow(/gave no token in time/)
      const gone = new AbortController()
      const waiting = createLauncherAttester({ socketPath: path }).evidence({
        ...EXPECTED,
        signal: gone.signal,
      })
      gone.abort()
      await expect(waiting).rejects.toMatchObject({ code: 'MCBN_ATTESTER_FAILED' })
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })
})
