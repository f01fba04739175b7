// What `mcbn bench` can ask each of its processes over the IPC channel.

import type { Call, Nothing } from '../answering.js'

/** What carries the messages: mcbn, or plain node:dgram, unprotected. */
export type Carrier = 'mcbn' | 'dgram'

export interface Serving {
  readonly carrier: Carrier
  /** Everything comes back; else it is only counted. */
  readonly echo: boolean
  /** The key of identity "bench", in hex: made for this run, good for nothing else. */
  readonly key: string
  readonly ciphers?: string
}

export interface Dialling {
  readonly carrier: Carrier
  readonly port: number
  readonly key: string
  readonly ciphers?: string
}

export interface Usage {
  /** Resident memory; what garbage holds is part of it unless it was collected. */
  readonly residentBytes: number
  /** Processor time so far, all threads, user and system. */
  readonly processorMicroseconds: number
}

/** Milliseconds that are measured, after the warm-up. */
interface Window {
  readonly milliseconds: number
}

export interface PeerCalls {
  /** Listens on a free port of 127.0.0.1. */
  readonly serve: Call<Serving, { readonly port: number }>
  /** Messages of all peers that a server's listener is called for. */
  readonly count: Call<Window, { readonly messages: number; readonly seconds: number }>
  /** Opens the one session of the calls that follow. */
  readonly dial: Call<Dialling, { readonly cipher?: string }>
  /** Sends as fast as it is let. */
  readonly flood: Call<Window & { readonly size: number }, Nothing>
  readonly roundTrip: Call<Window & { readonly size: number }, RoundTrips>
  readonly echo: Call<Window & { readonly size: number }, Echoes>
  readonly handshakes: Call<Window & { readonly atOnce: number }, Handshakes>
  /** Opens so many sessions more and keeps them. */
  readonly hold: Call<{ readonly sessions: number }, Nothing>
  /** `collect`: after a collection of garbage. */
  readonly usage: Call<{ readonly collect: boolean }, Usage>
}

export interface RoundTrips {
  /** Microseconds. */
  readonly median: number
  readonly p99: number
  readonly count: number
}

export interface Echoes {
  readonly perSecond: number
  /** Of those sent, 0 to 1. */
  readonly lost: number
}

export interface Handshakes {
  readonly perSecond: number
  /** Microseconds of one. */
  readonly median: number
  readonly count: number
}
