export type {
  Contradiction,
  GossipMessage,
  GossipVerdict,
  Host,
  HostStream,
  PeerEvent,
  PeerInfo,
  ProtocolOptions,
  Provider,
  RecordRule,
  Route,
  StreamHandler,
} from './host.ts'
export { createLibp2pHost, type Libp2pHostOptions } from './libp2p-host.ts'
export type { HostLimits } from './libp2p-options.ts'
export { didOfPeerIdText, peerIdTextOfDid } from './peer-key.ts'

export { createSimulator, type LinkSettings, type SimulatedHostOptions, type Simulator, type SimulatorOptions } from './simulator.ts'
