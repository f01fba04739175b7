// The operator carries the release: reads it, keeps it, and alters every part of it.

import { describe, expect, it } from 'vitest'
import { generateReceiver } from '../../../src/consent/release/seal.js'
import { join, type Progress } from '../../../src/consent/workload/index.js'
import { need } from '../network.js'
import { rejection } from '../workload/connections.js'
import { frankBefore, type Json } from '../workload/proxy.js'
import { consentRig } from '../workload/rig.js'

const other = (bytes: number) => Buffer.alloc(bytes, 7).toString('base64url')

const ALTERATIONS: readonly (readonly [string, (release: Json) => void])[] = [
  ['ciphertext', (release) => (release.ciphertext = other(48))],
  ['enc', (release) => (release.enc = other(32))],
  ['label', (release) => (release.label = 'alice')],
  ['dh', (release) => (release.dh = other(32))],
  ['role', (release) => (release.role = 'server')],
  ['c', (release) => (release.c = other(32))],
  ['tokenHash', (release) => (release.tokenHash = other(32))],
  ['signature', (release) => (release.signature = other(64))],
  ['a longer lease', (release) => (release.header.leaseSeconds = 86_400)],
  ['a later end', (release) => (release.header.notAfter += 86_400)],
  ['another epoch', (release) => (release.header.epoch = 2)],
  ['a field more', (release) => (release.more = true)],
  ['a field less', (release) => delete release.enc],
]

describe('attack 1: reads or alters a release', () => {
  it('reads all of it, and finds neither share nor key', async () => {
    const rig = await consentRig()
    const franks = await Promise.all(
      ['alice', 'bob', 'carol'].map(async (label) => [
        label,
        await frankBefore(`${rig.urls[label]}`),
      ]),
    )
    const through = Object.fromEntries(franks) as Record<
      string,
      Awaited<ReturnType<typeof frankBefore>>
    >
    const participants = Object.fromEntries(
      Object.entries(through).map(([label, { url }]) => [label, url]),
    )
    const network = await rig.join('client', { participants })
    const seen = JSON.stringify(Object.values(through).map((frank) => frank.seen))
    for (const share of rig.network.shares.values()) {
      for (const form of ['hex', 'base64url', 'base64'] as const) {
        expect(seen).not.toContain(share.toString(form))
      }
    }
    expect(seen).not.toContain(network.kcv)
    const [, evidence] = through['bob']?.seen ?? []
    const frank = await generateReceiver()
    const { role, c, header, enc, ciphertext } = evidence?.got ?? {}
    const { token } = evidence?.sent.evidence ?? {}
    const dh = rig.network.verified.hash
    await expect(
      frank.open({ dh, role, label: 'bob', c, token, header, enc, ciphertext }),
    ).rejects.toThrow(expect.objectContaining({ code: 'MCBN_RELEASE_INVALID' }))
  })

  it.each(ALTERATIONS)('alters %s: it is noticed, and bob is not blamed', async (_what, alter) => {
    const rig = await consentRig({ labels: ['alice', 'bob'] })
    const frank = await frankBefore(`${rig.urls['bob']}`)
    frank.onAnswer = (path, answer) => {
      if (path === '/v1/evidence') alter(answer)
      return answer
    }
    const enough = new AbortController()
    const steps: Progress[] = []
    const joining = join(
      rig.options('client', {
        participants: { ...rig.urls, bob: frank.url },
        signal: enough.signal,
        onProgress: (step) => {
          steps.push(step)
          if (step.label === 'bob' && step.state === 'silent') enough.abort(new Error('noticed'))
        },
      }),
    )
    expect((await rejection<Error>(joining)).message).toBe('noticed')
    expect(steps.find(({ state }) => state === 'silent')).toMatchObject({
      label: 'bob',
      code: 'MCBN_RELEASE_INVALID',
    })
    expect(steps.filter(({ state }) => state === 'blamed')).toEqual([])
    // What was altered on the way did not come from bob: he has released to the right workload.
    expect(need(rig.participants, 'bob').leases()).toHaveLength(1)
  })
})
