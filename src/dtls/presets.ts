// What the protocols above DTLS ask of it, under one name each.

import type { DtlsOptions } from './types.js'

/** The names that `preset` takes. */
export const PRESET_NAMES = ['coap', 'lwm2m', 'hue'] as const
export type PresetName = (typeof PRESET_NAMES)[number]

type Preset = Pick<DtlsOptions, 'ciphers' | 'handshakeTimeout' | 'retransmitTimeout' | 'mtu'>

/** Devices on slow radio: a first timer of 9 s (RFC 7925 section 11), and time for three sendings. */
const CONSTRAINED = { retransmitTimeout: 9_000, handshakeTimeout: 90_000 } as const
/** Bytes of UDP payload in the 1,280 that every IPv6 path carries (RFC 8200 section 5). */
const SMALLEST_PATH = 1_232

const PRESETS: Readonly<Record<PresetName, Preset>> = {
  // RFC 7252 section 9.1.3.1: PSK_WITH_AES_128_CCM_8 is mandatory; section 4.6: an MTU of 1,280.
  coap: { ...CONSTRAINED, mtu: SMALLEST_PATH, ciphers: 'PSK-AES128-CCM8:PSK-AES128-CCM' },
  // LwM2M 1.0 section 7.1.7: PSK_WITH_AES_128_CCM_8 and PSK_WITH_AES_128_CBC_SHA256.
  lwm2m: { ...CONSTRAINED, mtu: SMALLEST_PATH, ciphers: 'PSK-AES128-CCM8:PSK-AES128-CBC-SHA256' },
  // A Hue bridge's entertainment stream: this one suite, on a local network.
  hue: { ciphers: 'PSK-AES128-GCM-SHA256' },
}

/** The port of a preset's protocol, where clients need not name it. */
export const PRESET_PORTS: Readonly<Record<PresetName, number>> = {
  coap: 5684, // RFC 7252 section 12.7
  lwm2m: 5684, // LwM2M runs over CoAP
  hue: 2100,
}

/** `options` with what its preset adds; what is given counts. */
export function withPreset<Options extends DtlsOptions>(
  options: Options,
  preset: PresetName | undefined,
): Options {
  if (preset === undefined) return options
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  return { ...PRESETS[preset], ...Object.fromEntries(given) } as Options
}
