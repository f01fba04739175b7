// What is in force while a participant serves: its policy, and the images that signatures approve under it. Both
// are read again when they change, and at SIGHUP.

import { type FSWatcher, watch } from 'node:fs'
import type { Participant } from '../../consent/participant/participant.js'
import { type ReloadPolicyOptions, reloadStoredPolicy } from '../../consent/participant/stored.js'
import { readSignedImages } from '../../consent/policy/image-folder.js'
import type { SignedImages } from '../../consent/policy/signed-images.js'
import type { Policy } from '../../consent/policy/types.js'
import type { ParticipantStore } from '../../consent/store/replicas.js'
import { Store } from '../../consent/store/store.js'
import { report } from './report.js'

export interface PolicyFlags {
  readonly imageSignatures?: string
  readonly json?: boolean
}

/** Milliseconds in which an editor has written all of a file. */
const SETTLED_MS = 200
/** Milliseconds between looks at a policy that is in a database. */
const LOOK_MS = 5_000
/** Most bundles that are named as of no use. */
const MOST_NAMED = 16

/** The images that signatures approve, and says what came of each bundle. Without a folder: none. */
export async function signedImagesOf(
  policy: Policy | undefined,
  { imageSignatures: folder, json }: PolicyFlags,
): Promise<SignedImages | undefined> {
  if (folder === undefined || policy === undefined) return undefined
  const { approved, passedOver } = await readSignedImages(policy, folder)
  const images = [...new Set([...approved.values()].flatMap((digests) => [...digests]))].sort()
  const named = passedOver.slice(0, MOST_NAMED)
  report(json, { event: 'image-signatures', images, passedOver: named, of: passedOver.length }, [
    `images approved by signature: ${images.join(', ') || 'none'}`,
    ...named.map(({ name, reason }) => `  ${name} counts for nothing: ${reason}`),
  ])
  return approved
}

/** A changed policy or bundle, or SIGHUP, puts both in force. @returns ends it. */
export function watchPolicy(
  store: ParticipantStore,
  participant: Participant,
  flags: PolicyFlags & Pick<ReloadPolicyOptions, 'attestation'>,
): () => void {
  const { json, attestation, imageSignatures } = flags
  const signedImages = async (policy: Policy) =>
    (await signedImagesOf(policy, flags)) ?? (new Map() as SignedImages)
  const reload = async (asked: boolean, again: boolean): Promise<void> => {
    try {
      const changed = await reloadStoredPolicy(store, participant, {
        ...(attestation !== undefined && { attestation }),
        ...{ signedImages, again },
      })
      if (!changed && !asked) return
      const { policyHash } = store
      report(json, { event: 'policy', changed, policyHash }, [
        `policy ${changed ? 'now' : 'still'} in force: sha256 ${policyHash}`,
      ])
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      report(json, { event: 'policy-refused', reason, policyHash: store.policyHash }, [
        `policy.json is not put in force: ${reason}`,
      ])
    }
  }
  const ends: (() => void)[] = []
  const onHangup = (): void => void reload(true, imageSignatures !== undefined)
  process.on('SIGHUP', onHangup)
  ends.push(() => process.off('SIGHUP', onHangup))
  if (store instanceof Store) {
    // The folder: editors put a new file in the place of the old one.
    const isPolicy = (name: string | null) => name === 'policy.json'
    ends.push(onChange(store.dir, isPolicy, () => void reload(false, false)))
  } else {
    const looking = setInterval(() => void reload(false, false), LOOK_MS)
    ends.push(() => clearInterval(looking))
  }
  if (imageSignatures !== undefined) {
    const isBundle = (name: string | null) => name?.endsWith('.json') !== false
    ends.push(onChange(imageSignatures, isBundle, () => void reload(false, true)))
  }
  return () => {
    for (const end of ends) end()
  }
}

/** Calls once a folder's files have been left alone for a moment. */
function onChange(
  folder: string,
  about: (name: string | null) => boolean,
  call: () => void,
): () => void {
  let timer: NodeJS.Timeout | undefined
  const watcher: FSWatcher = watch(folder, { persistent: false }, (_, name) => {
    if (!about(name)) return
    clearTimeout(timer)
    timer = setTimeout(call, SETTLED_MS)
  })
  watcher.on('error', () => watcher.close())
  return () => {
    clearTimeout(timer)
    watcher.close()
  }
}
