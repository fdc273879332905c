/** Bounds of the flow tables. */
export interface FlowLimits {
  /** TCP flows in all */
  readonly flows: number;
  /** of those: begun by peers and not yet established */
  readonly halfOpen: number;
  /** of those: from one address */
  readonly halfOpenPerSource: number;
  /** UDP flows in all */
  readonly datagramFlows: number;
  /** of those: from one address */
  readonly datagramFlowsPerSource: number;
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
    halfOpen: Math.ceil(flows / 4),
    halfOpenPerSource: Math.ceil(flows / 8),
    datagramFlows,
    datagramFlowsPerSource: Math.ceil(datagramFlows / 2),
  };
}
