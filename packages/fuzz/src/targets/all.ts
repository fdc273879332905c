import type { Target } from '../target.js';
import { addresses, dns, rules, socks5 } from './addresses.js';
import { allowedIps } from './allowedips.js';
import { captureBytes, captureFiles, decoding } from './capture.js';
import { choosing, ciphers } from './ciphers.js';
import { configFiles, configTexts, configWords } from './config.js';
import { controlBytes, controlMessages, controlRation, controlSilence } from './control.js';
import { cookies } from './cookie.js';
import { engine, engineScenarios } from './engine.js';
import { fragments } from './fragments.js';
import { handshakeAgrees, handshakeMutation, handshakeRefusals, initiationOrder, timestamps } from './handshake.js';
import { headerFields, headerWriting, resync } from './header.js';
import { keyFiles } from './keyfiles.js';
import { nesting, packedSettings, portFilters, socketAddresses, unreachables } from './linux.js';
import { backoff, deadlines, pendingList, ranges, staged } from './lists.js';
import { classification, messageWriting } from './messages.js';
import { checksums, coalescer, segmenter, segmenterAny } from './offload.js';
import { offloadRecords, offloadRecordsHostile } from './offloadrecords.js';
import { outbox } from './outbox.js';
import { rateLimiter } from './ratelimiter.js';
import { readerAny, readerClean, readerDamaged } from './reader.js';
import { reassembly } from './reassembly.js';
import { replayWindow } from './replay.js';
import { timers } from './timers.js';
import { translatorAny, translatorFlow } from './translator.js';
import { transports } from './transports.js';
import { uapiExchange, uapiTexts } from './uapi.js';

/** Every target that needs nothing but itself. */
export const TARGETS: readonly Target[] = [
  headerFields,
  headerWriting,
  resync,
  readerClean,
  readerAny,
  readerDamaged,
  outbox,
  classification,
  messageWriting,
  handshakeAgrees,
  handshakeMutation,
  handshakeRefusals,
  initiationOrder,
  timestamps,
  controlMessages,
  controlBytes,
  controlRation,
  controlSilence,
  cookies,
  rateLimiter,
  replayWindow,
  allowedIps,
  timers,
  deadlines,
  staged,
  pendingList,
  backoff,
  configFiles,
  configTexts,
  configWords,
  uapiExchange,
  uapiTexts,
  addresses,
  rules,
  socks5,
  dns,
  keyFiles,
  captureFiles,
  captureBytes,
  decoding,
  reassembly,
  fragments,
  checksums,
  segmenter,
  segmenterAny,
  offloadRecords,
  offloadRecordsHostile,
  coalescer,
  ranges,
  ciphers,
  choosing,
  portFilters,
  unreachables,
  nesting,
  socketAddresses,
  packedSettings,
  translatorFlow,
  translatorAny,
  engine,
  engineScenarios,
  transports,
];
