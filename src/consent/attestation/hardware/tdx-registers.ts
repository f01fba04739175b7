// What Intel TDX's registers say of a domain, the same for raw quotes and for tokens of services.

import { INTEL_TDX, measurementDigest } from '../platform.js'

export interface TdxImageRegisters {
  /** The firmware as it was loaded. */
  readonly mrtd: Uint8Array
  /** What the firmware measured: its configuration, boot loader and kernel, command line and initrd. */
  readonly rtmr0: Uint8Array
  readonly rtmr1: Uint8Array
  readonly rtmr2: Uint8Array
}

/** One name for one image, whichever evidence speaks of it. */
export function tdxImageDigest({ mrtd, rtmr0, rtmr1, rtmr2 }: TdxImageRegisters): string {
  return measurementDigest(INTEL_TDX, { mrtd, rtmr0, rtmr1, rtmr2 })
}

/**
 * TDX numbers no domains. The image does: at its start it extends RTMR 3 by something random, once; zeros are
 * an image that has not, and no instance, so that a cap cannot be passed by two that look alike.
 */
export function tdxInstance(rtmr3: Buffer): string | undefined {
  return rtmr3.some((byte) => byte !== 0) ? rtmr3.toString('hex') : undefined
}
