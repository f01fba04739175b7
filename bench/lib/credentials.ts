// What every program of the benchmark shares; bench/anchors/loopback.c has the same bytes.

export const IDENTITY = 'bench'
export const KEY = Buffer.from('101112131415161718191a1b1c1d1e1f', 'hex')
export const HOST = '127.0.0.1'
/** As the anchors ask for; the system may give less. */
export const BUFFER_BYTES = 4 << 20
export const CCM8 = 'PSK-AES128-CCM8'
export const GCM13 = 'TLS_AES_128_GCM_SHA256'
export const ECDHE = 'ECDHE-PSK-CHACHA20-POLY1305'
export const GCM = 'PSK-AES128-GCM-SHA256'
export const WARM_UP_MS = 300
