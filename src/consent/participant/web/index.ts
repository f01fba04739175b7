// The page of a participant.

export type { AuditForPage } from './participant-view.js'
export { participantView } from './participant-view.js'
export type { ServeParticipantWebOptions } from './serve.js'
export { serveParticipantWeb, WEB_SERVER_DEFAULTS } from './serve.js'
export type { AuditLine, AuditReport, ParticipantView } from './view.js'
export type { ParticipantWeb, ParticipantWebOptions } from './web.js'
export { createParticipantWeb, WEB_DEFAULTS } from './web.js'
