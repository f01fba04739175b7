// bench/tls.ts as measurements among the others.

import { measureTls } from '../tls.js'
import type { Measurement, Subject } from './measurement.js'

function subject(
  name: string,
  library: 'mcbn' | 'node',
  work: 'throughput' | 'handshakes',
): Subject {
  const scale = work === 'throughput' ? 1e9 : 1
  return {
    name,
    run: async (seconds) => {
      const { rate, costs } = await measureTls(library, work, seconds * 1_000)
      return { value: rate / scale, costs }
    },
  }
}

export function tlsMeasurements(): Measurement[] {
  return (['throughput', 'handshakes'] as const).map((work) => ({
    name: `tls-${work}`,
    title: `TLS 1.3 with PSK, ${work}, TLS_AES_128_GCM_SHA256`,
    unit: work === 'throughput' ? 'GB/s' : '/s',
    better: 'higher',
    subjects: [subject('mcbn', 'mcbn', work), subject('node:tls, pskCallback', 'node', work)],
    bars: [{ against: 'node:tls, pskCallback', ratio: 1 }],
    skipped: [],
  }))
}
