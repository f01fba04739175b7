import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { generateParticipantKeys, publicKeys } from '../../../src/consent/base/keys.js'
import { generatePolynomial, subShareFor } from '../../../src/consent/ceremony/dkg.js'
import { createPlan } from '../../../src/consent/ceremony/plan.js'
import { CeremonyState } from '../../../src/consent/ceremony/state.js'
import { temporaryFolder } from '../../support/paths.js'
import { IMAGES } from '../ceremony/rehearsal.js'

describe('review/ceremony', () => {
  it('never makes a second first message of one plan: the two would prove that it cheats', async () => {
    const lock = { keyFile: randomBytes(32) }
    const folder = join(temporaryFolder(), 'alice')
    const state = await CeremonyState.create(folder, { label: 'alice', lock })
    const plan = createPlan({
      network: 'twice',
      epoch: 1,
      mode: 'n-of-n',
      participants: [state.card, { label: 'bob', ...publicKeys(generateParticipantKeys()) }],
      roles: {
        client: { id: 'client', images: [IMAGES.client] },
        server: { id: 'server', images: [IMAGES.server] },
      },
      validity: { notBefore: 1, notAfter: 2 },
    })
    const sent = (await state.begin(plan)).outgoing()
    expect(sent.map(({ name }) => name)).toEqual(['commit-alice'])
    expect((await state.begin(plan)).outgoing()).toEqual(sent)
    state.close()
    const again = await CeremonyState.open(folder, lock)
    expect((await again.begin(plan)).outgoing()).toEqual(sent)
  })

  it("keeps polynomials and sub-shares out of Node's shared pool", () => {
    const { coefficients } = generatePolynomial(1, { t: 2, n: 3 })
    for (const secret of [...coefficients, subShareFor(coefficients, 2)]) {
      expect(secret.buffer.byteLength).toBe(32)
    }
  })
})
