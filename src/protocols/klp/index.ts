export { creditBytes, evidenceBytesMax, evidenceMax, type Hello, klpFrameBytesMax, klpProtocol, klpVersion, requestsInFlightMax, type Terms } from './frames.ts'
export { type Answer, createLink, type Link } from './link.ts'
export { createPlane, type Plane } from './plane.ts'
