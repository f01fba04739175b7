// A participant's folder for the commands, and the workload that asks it.

import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { LocalWorkload } from '../../src/consent/attestation/local/claims.js'
import type { Evidence } from '../../src/consent/attestation/types.js'
import type { PolicyRole } from '../../src/consent/policy/types.js'
import { createStore } from '../../src/consent/store/open.js'
import { need } from '../consent/network.js'
import { ask, network, policyOf, tokenFor, workloadOf } from '../consent/participant/fixture.js'
import { temporaryFolder } from '../support/paths.js'
import { startMcbn } from './command.js'

/** A folder with a share, and a key file that the environment names: a passphrase takes scrypt half a second. */
export async function folder(rules: Partial<PolicyRole> = {}) {
  const parent = temporaryFolder()
  const dir = join(parent, 'alice')
  const file = join(parent, 'key')
  const lock = { keyFile: randomBytes(32) }
  writeFileSync(file, lock.keyFile, { mode: 0o600 })
  const store = await createStore(dir, lock, { label: 'alice', keys: need(network.keys, 'alice') })
  await store.installEpoch(
    {
      descriptor: network.signed,
      share: need(network.shares, 'alice'),
      policy: policyOf({}, rules),
    },
    lock,
  )
  await store.close()
  return { parent, dir, lock, env: { MCBN_KEY_FILE: file } }
}

export type Folder = Awaited<ReturnType<typeof folder>>

export async function serving({ dir, env }: Pick<Folder, 'dir' | 'env'>, ...args: string[]) {
  return await servingAt(['--dir', dir], env, ...args)
}

/** `where`: `--dir` or `--store`, and what follows. */
export async function servingAt(where: readonly string[], env: Folder['env'], ...args: string[]) {
  const listen = ['--listen', '127.0.0.1:0']
  const child = startMcbn(['participant', 'serve', ...where, ...listen, ...args], { env })
  const [, url = ''] = await child.output(/(http:\/\/127\.0\.0\.1:\d+)/)
  return { child, url }
}

export const alice = { descriptor: network.verified, label: 'alice' }

async function post(url: string, message: object): Promise<Record<string, unknown>> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(message),
  })
  return (await answer.json()) as Record<string, unknown>
}

/** A round as a workload plays it. @param shown - what it makes of the local issuer's token. */
export async function play(
  url: string,
  workload: LocalWorkload = workloadOf('client'),
  shown: (token: string) => Evidence = (token) => ({ kind: 'local', token }),
) {
  const { request } = await ask('client')
  const challenge = await post(`${url}/v1/request`, request)
  if (typeof challenge['c'] !== 'string') return challenge
  const { c } = challenge
  const token = await tokenFor(alice, request, c, Date.now(), workload)
  return await post(`${url}/v1/evidence`, { c, request, evidence: shown(token) })
}
