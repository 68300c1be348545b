export {
  creditBytes,
  evidenceBytesMax,
  evidenceMax,
  type Hello,
  klpFrameBytesMax,
  klpProtocol,
  klpVersion,
  requestsInFlightMax,
  type Terms,
  type TermsAnswer,
  type Want,
} from './frames.ts'
export { type Answer, type Ask, type Carried, createLink, groupsOf, type Link, type LinkOptions } from './link.ts'
export { createPlane, type Plane } from './plane.ts'
export { capabilitiesMax, isCapabilityName, type Manifest, type Presence, type Role, roles } from './manifest.ts'
