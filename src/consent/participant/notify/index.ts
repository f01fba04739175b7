// Telling people that a request waits.

export type { PendingNotifier } from './notify.js'
export { notifyOfPending } from './notify.js'
export type {
  NotificationResult,
  NotifiedRequest,
  NotifyOptions,
  PendingNotification,
  WebhookOptions,
} from './options.js'
export { NOTIFY_DEFAULTS } from './options.js'
