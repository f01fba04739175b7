// What the demonstration and its workloads say to each other over the IPC channel.

import type { McbnErrorCode } from '../../errors.js'
import type { DemoNetwork } from './network.js'

/** What a workload can be asked for: the request's fields, and the answer's. */
export interface WorkloadCalls {
  /**
   * Derives this workload's keys. Refused with MCBN_SHARE_INVALID unless every participant's share is
   * there, or `insist` says to try with what there is, as an altered workload would.
   */
  readonly join: {
    readonly request: {
      readonly network: DemoNetwork
      readonly shares: Readonly<Record<string, Uint8Array>>
      readonly insist: boolean
    }
    /** The key check value in hex: public. */
    readonly answer: { readonly kcv: string }
  }
  /** Serves HTTP over TLS 1.3 and a DTLS 1.2 echo on ports of its own. */
  readonly serve: {
    readonly request: Record<never, never>
    readonly answer: { readonly tlsPort: number; readonly dtlsPort: number }
  }
  /** `GET /` over TLS 1.3. */
  readonly get: {
    readonly request: { readonly port: number }
    readonly answer: ConnectionFacts & { readonly status: number; readonly body: string }
  }
  /** One datagram there and back over DTLS 1.2. */
  readonly echo: {
    readonly request: { readonly port: number; readonly text: string }
    readonly answer: ConnectionFacts & { readonly text: string }
  }
}

export type CallName = keyof WorkloadCalls
export type Request<Name extends CallName> = WorkloadCalls[Name]['request']
export type Answer<Name extends CallName> = WorkloadCalls[Name]['answer']

export interface ConnectionFacts {
  readonly protocol: string
  readonly cipher: string
}

/** From the demonstration to a workload; shares travel here, never in arguments or environment. */
export interface CallMessage {
  readonly number: number
  readonly call: CallName
  readonly request: Request<CallName>
}

/** Back again: an answer or a failure. */
export interface AnswerMessage {
  readonly number: number
  readonly answer?: Answer<CallName>
  readonly failure?: { readonly code: McbnErrorCode | undefined; readonly message: string }
}
