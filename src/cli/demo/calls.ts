// What the demonstration can ask each of its processes over the IPC channel. None of it is a secret: shares
// and keys never leave the process that has them, not even to the demonstration.

import type { UnixSeconds } from '../../consent/base/time.js'
import type { PlanParticipant } from '../../consent/ceremony/plan.js'
import type { DescriptorMode, Role, SignedDescriptor } from '../../consent/descriptor/types.js'
import type { Call, Nothing } from '../answering.js'
import type { Label, MachineName } from './cast.js'

/** The vendor of the machines: its keys sign what runs on them. */
export interface VendorCalls {
  readonly open: Call<Nothing, Trust>
  /** Puts a machine's launcher socket in place, or measures the machine again. */
  readonly measure: Call<
    {
      readonly socketPath: string
      readonly machine: MachineName
      readonly pid: number
      readonly descriptorHash: string
    },
    Nothing
  >
}

/** Whose tokens are believed: public. */
export interface Trust {
  readonly issuer: string
  readonly jwks: object
}

export interface ParticipantCalls {
  /** Makes the folder and the keys. */
  readonly init: Call<{ readonly label: Label; readonly dir: string }, PlanParticipant>
  /** Writes the plan of a ceremony. */
  readonly plan: Call<
    {
      readonly cards: readonly PlanParticipant[]
      readonly epoch: number
      readonly mode: DescriptorMode
      readonly t: number
      /** What may run, as its author told everybody. */
      readonly images: Readonly<Record<Role, string>>
    },
    { readonly plan: string; readonly hash: string }
  >
  /** Takes part to the end, and installs the epoch. */
  readonly ceremony: Call<
    { readonly board: string; readonly planHash: string },
    { readonly descriptor: SignedDescriptor; readonly hash: string }
  >
  readonly serve: Call<
    {
      readonly trust: Trust
      readonly approval: 'automatic' | 'manual'
      readonly page: boolean
      /** A defect, or an altered program: signs and seals another share than it committed to. */
      readonly damaged: boolean
      readonly leaseSeconds: number
    },
    { readonly url: string; readonly page?: string; readonly token?: string }
  >
  /** A person's decision about requests that wait, and about those decided before. */
  readonly decide: Call<
    { readonly decision: 'approved' | 'refused'; readonly roles: readonly Role[] },
    { readonly images: readonly string[] }
  >
  readonly withdraw: Call<Nothing, { readonly withdrawnAt: UnixSeconds }>
  /** Why it refused last: what its own people can read. */
  readonly refusal: Call<Nothing, { readonly code: string; readonly details: readonly string[] }>
  readonly audit: Call<Nothing, { readonly lines: number }>
  readonly search: Call<{ readonly root: string }, SearchAnswer>
}

/** Yes or no, and how much there was. */
export interface SearchAnswer {
  readonly secrets: number
  readonly found: boolean
  /** What is public was looked for in the same way, and found: the search can find. */
  readonly control: boolean
  /** Spellings in which a secret made for it was planted and found; negative: so many were not found. */
  readonly spellings: number
  readonly files: number
  readonly bytes: number
}

export interface MachineCalls {
  /** What an operator gives a workload: all of it public. */
  readonly deploy: Call<
    {
      readonly role: Role
      readonly dir: string
      readonly socketPath: string
      readonly descriptor: SignedDescriptor
      readonly descriptorHash: string
      readonly participants: Readonly<Record<string, string>>
    },
    Nothing
  >
  /** Joins, unless it has joined. */
  readonly join: Call<{ readonly patience: number }, Joined>
  /** Joins beside what it has, through other addresses, and leaves again. */
  readonly rejoin: Call<
    { readonly patience: number; readonly participants: Readonly<Record<string, string>> },
    Joined
  >
  readonly serve: Call<Nothing, Ports>
  readonly get: Call<{ readonly port: number }, ConnectionFacts & { readonly body: string }>
  readonly echo: Call<{ readonly port: number }, ConnectionFacts & { readonly equal: boolean }>
  /** Opens both kinds of connection and keeps them busy. */
  readonly hold: Call<Ports, Nothing>
  /** Waits until they, and the network, have ended. */
  readonly held: Call<Nothing, Ended>
  readonly audit: Call<Nothing, { readonly lines: number }>
  readonly search: Call<{ readonly root: string }, SearchAnswer>
}

export interface Ports {
  readonly tls: number
  readonly dtls: number
}

export interface Joined {
  readonly kcv: string
  readonly identity: string
  readonly leases: readonly string[]
  readonly blamed: readonly string[]
}

export interface ConnectionFacts {
  readonly protocol: string
  readonly cipher: string
}

export interface Ended {
  readonly reason: string
  readonly labels: readonly string[]
  /** The error that each socket ended with. */
  readonly tls: string
  readonly dtls: string
  /** Messages that went there and back before. */
  readonly answers: number
}

/** What Frank does with the messages on one way. */
export type Meddling = 'nothing' | 'alter-release' | 'swap-key' | 'block'

export interface FrankCalls {
  readonly open: Call<{ readonly dir: string }, Nothing>
  /** Hosts the exchange of a ceremony. */
  readonly board: Call<{ readonly plan: string }, { readonly url: string }>
  /** Puts himself before the participants, for one workload. */
  readonly carry: Call<
    { readonly owner: string; readonly participants: Readonly<Record<string, string>> },
    { readonly participants: Readonly<Record<string, string>> }
  >
  readonly meddle: Call<
    { readonly owner: string; readonly label: Label; readonly how: Meddling },
    Nothing
  >
  /** Puts himself between client and server. */
  readonly relay: Call<Ports, Ports>
  /** Flips a bit in what the server sends from now on, or stops doing so. */
  readonly flip: Call<{ readonly on: boolean }, Nothing>
  /** Sends a participant again what he has recorded. */
  readonly replay: Call<
    { readonly owner: string; readonly label: Label; readonly other: Label },
    { readonly answers: readonly ReplayAnswer[] }
  >
  /** Whether anybody answers there. */
  readonly knock: Call<{ readonly port: number }, { readonly code: string }>
  readonly seen: Call<
    Nothing,
    { readonly messages: number; readonly tls: number; readonly dtls: number }
  >
}

export interface ReplayAnswer {
  readonly what: string
  readonly status: number
  readonly code: string
}
