/** Bounds of the flow tables. One peer never gets all of anything, whatever addresses it may use. */
export interface FlowLimits {
  /** TCP flows in all */
  readonly flows: number;
  readonly flowsPerPeer: number;
  /** of those: begun by peers and not yet established */
  readonly halfOpen: number;
  readonly halfOpenPerPeer: number;
  /** UDP flows in all */
  readonly datagramFlows: number;
  readonly datagramFlowsPerPeer: number;
}

/** More flows than this are never kept, whatever the number of descriptors allows. passt's table has 128 k; flows weigh more here. */
const FLOWS_MAX = 16_384;
/** Descriptors that are left for the tunnel itself and the program around it. */
const DESCRIPTORS_KEPT = 64;

/** Limits for a process that may open so many descriptors: each flow needs one. */
export function flowLimits(descriptors: number): FlowLimits {
  const flows = Math.max(16, Math.min(FLOWS_MAX, Math.floor((descriptors - DESCRIPTORS_KEPT) * 0.75)));
  const datagramFlows = Math.max(16, Math.min(4096, Math.floor((descriptors - DESCRIPTORS_KEPT) * 0.2)));
  return {
    flows,
    flowsPerPeer: Math.ceil(flows * 0.75),
    halfOpen: Math.ceil(flows / 2),
    halfOpenPerPeer: Math.ceil(flows / 4),
    datagramFlows,
    datagramFlowsPerPeer: Math.ceil(datagramFlows * 0.75),
  };
}
