import { FIN_TIMEOUT, IDLE_TIMEOUT, PROBE_MIN, RESENDS_MAX, SYN_RESEND } from './constants.js';
import { Phase, type TcpFlow } from './flow.js';
import type { TcpFlows } from './flows.js';
import { sendProbe, sendReset, sendSyn } from './output.js';

/** When a flow wants to be looked at again. */
export function nextDeadline(flow: TcpFlow): number {
  return Math.min(flow.ackAt, flow.resendAt, flow.stallAt, flow.lifeAt);
}

/** Acts on what is due. */
export function expire(flows: TcpFlows, now: number, flow: TcpFlow): void {
  if (now >= flow.lifeAt && endOfLife(flows, now, flow)) return;
  if (now >= flow.ackAt) {
    flow.ackAt = Infinity;
    flow.ackNow = true;
    flows.mark(flow);
  }
  if (now >= flow.stallAt) {
    flow.stallAt = Infinity;
    if (flow.inbound.handed > flow.inbound.taken) {
      // What the native side has not taken stays unacknowledged, and the window is closed until it moves again.
      flow.stalled = true;
      flow.ackNow = true;
      flows.mark(flow);
    }
  }
  if (now >= flow.resendAt) resend(flows, now, flow);
}

/** @returns whether the flow is no more */
function endOfLife(flows: TcpFlows, now: number, flow: TcpFlow): boolean {
  switch (flow.phase) {
    case Phase.opening:
      // The native side never answered; neither do we. The inner side's own timer is running.
      flows.counters.timedOut++;
      flows.abandon(flow);
      return true;
    case Phase.synReceived:
      flows.counters.timedOut++;
      if (flow.origin === 'native') {
        sendReset(flows, flow);
        flows.failed(flow, 'timeout');
      } else flows.resetOnce(flow);
      return true;
    case Phase.synSent:
      flows.counters.timedOut++;
      flows.failed(flow, 'timeout');
      return true;
    case Phase.lingering:
      flows.remove(flow);
      return true;
  }
  const closing = flow.nativeEof && (flow.innerFinished || flow.orphaned);
  flow.lifeAt = flow.lastActivity + (closing ? FIN_TIMEOUT : IDLE_TIMEOUT);
  if (now < flow.lifeAt) return false;
  flows.counters.timedOut++;
  flows.reset(flow);
  return true;
}

function resend(flows: TcpFlows, now: number, flow: TcpFlow): void {
  if (flow.phase === Phase.synReceived || flow.phase === Phase.synSent) {
    sendSyn(flows, flow, flow.phase === Phase.synReceived);
    flow.roundTrip.cancel();
    flow.resendAt = now + SYN_RESEND * 2 ** ++flow.backoff;
    return;
  }
  flow.resendAt = Infinity;
  if (flow.phase !== Phase.established) return;
  const outstanding = flow.sendUna < flow.sendNext;
  const closed = flow.sendEdge <= flow.sendUna;
  if (!outstanding && !(closed && flow.outbound.end > flow.sendNext)) return;
  if (flow.path.room() <= 0) {
    // It is waiting in our own queue.
    flow.resendAt = now + flow.roundTrip.timeout(0);
    return;
  }
  if (flow.unanswered >= RESENDS_MAX) {
    flows.counters.timedOut++;
    return flows.reset(flow);
  }
  if (outstanding) {
    flow.congestion.timedOut(flow.sendNext - flow.sendUna, flow.backoff > 0);
    flow.sacked?.clear();
    flow.duplicates = 0;
    flow.recoverTo = -1;
    flow.resentTo = flow.sendMax;
    flow.resendNext = flow.resendTo = flow.sendUna;
    flow.sendNext = flow.sendUna;
    flow.roundTrip.cancel();
    flows.mark(flow);
  }
  flow.unanswered++;
  flow.backoff++;
  // Behind a closed window a probe finds out whether anyone is still there.
  if (closed) sendProbe(flows, flow);
  flow.resendAt = now + Math.max(closed ? PROBE_MIN : 0, flow.roundTrip.timeout(flow.backoff));
}
