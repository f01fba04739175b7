// The vendor of the hardware: measures what runs on the machines, and signs what it measured with its own
// keys. Only its word counts about that; it knows nothing of networks or shares.

import { rmSync } from 'node:fs'
import type { LocalWorkload } from '../../consent/attestation/local/claims.js'
import { createLocalIssuer, type LocalIssuer } from '../../consent/attestation/local/issuer.js'
import { serveLauncher } from '../../consent/attestation/local/launcher.js'
import { answerCalls } from '../answering.js'
import type { VendorCalls } from './calls.js'
import { described, ISSUER } from './cast.js'
import { measuredDigest } from './images.js'

let issuer: LocalIssuer | undefined
/** By socket. */
const workloads = new Map<string, LocalWorkload>()
/** The demonstration's folder. */
const [, , root] = process.argv

answerCalls<VendorCalls>(
  {
    async open() {
      issuer = await createLocalIssuer({ issuer: ISSUER })
      return { issuer: issuer.issuer, jwks: issuer.jwks() }
    },
    async measure({ socketPath, machine, pid, descriptorHash }) {
      const workload = described(machine, await measuredDigest(pid, machine), descriptorHash)
      const known = workloads.has(socketPath)
      workloads.set(socketPath, workload)
      if (known || issuer === undefined) return {}
      await serveLauncher({
        socketPath,
        issuer,
        workload: () => workloads.get(socketPath) ?? workload,
      })
      return {}
    },
  },
  removeFiles,
)

/** The demonstration was killed: somebody has to tidy up behind it. */
function removeFiles(): void {
  if (root === undefined) return
  // The others end at the same moment, and may still be writing.
  rmSync(root, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
}
