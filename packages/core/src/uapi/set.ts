import type { Endpoint } from '../address/endpoint.js';
import { parsePrefix } from '../address/ip.js';
import { isZeroKey, parseHexKey } from '../config/key.js';
import { parseNumber, parseSwitch, parseTransport } from '../config/values.js';
import type { AllowedIpChange, DeviceSettings, PeerSettings, Transport } from '../device/settings.js';
import { parseZonedEndpoint, type ZoneIndex } from './endpoint.js';
import { ERRNO, UapiError } from './uapi.js';

type Draft<T> = { -readonly [K in keyof T]: T[K] };
type PeerDraft = Draft<PeerSettings> & { allowedIps: AllowedIpChange[] };
type DeviceDraft = Draft<DeviceSettings> & { peers: PeerDraft[] };

/** Collects the lines of one `set` request into settings. */
export class SetParser {
  readonly #settings: DeviceDraft = { peers: [] };
  readonly #zone: ZoneIndex;
  #peer: PeerDraft | null = null;

  constructor(zone: ZoneIndex) {
    this.#zone = zone;
  }

  get settings(): DeviceSettings {
    return this.#settings;
  }

  /** @throws UapiError EINVAL: no such key here, or no such value */
  line(key: string, value: string): void {
    if (key === 'public_key') {
      this.#peer = { publicKey: hexKey(key, value), allowedIps: [] };
      this.#settings.peers.push(this.#peer);
    } else if (this.#peer === null) {
      this.#device(this.#settings, key, value);
    } else {
      this.#ofPeer(this.#peer, key, value);
    }
  }

  #device(device: DeviceDraft, key: string, value: string): void {
    switch (key) {
      case 'private_key':
        device.privateKey = keyOrNull(key, value);
        break;
      case 'listen_port':
        device.listenPort = integer(key, value, 0xffff);
        break;
      case 'fwmark':
        device.fwmark = integer(key, value, 0xffffffff);
        break;
      case 'replace_peers':
        device.replacePeers = flag(key, value);
        break;
      case 'transport':
        device.transport = transport(value);
        break;
      case 'extensions':
        device.extensions = onOff(key, value);
        break;
      default:
        throw new UapiError(ERRNO.invalid, `no such key for a device: ${key}`);
    }
  }

  #ofPeer(peer: PeerDraft, key: string, value: string): void {
    switch (key) {
      case 'remove':
        peer.remove = flag(key, value);
        break;
      case 'update_only':
        peer.updateOnly = flag(key, value);
        break;
      case 'preshared_key':
        peer.presharedKey = keyOrNull(key, value);
        break;
      case 'endpoint':
        peer.endpoint = endpoint(value, this.#zone);
        break;
      case 'persistent_keepalive_interval':
        peer.persistentKeepalive = integer(key, value, 0xffff);
        break;
      case 'replace_allowed_ips':
        // What this peer was given earlier in the same request goes, too.
        peer.replaceAllowedIps = flag(key, value);
        peer.allowedIps.length = 0;
        break;
      case 'allowed_ip':
        peer.allowedIps.push(allowedIp(value));
        break;
      case 'protocol_version':
        if (value !== '1') throw new UapiError(ERRNO.invalid, 'protocol_version is 1');
        break;
      case 'transport':
        peer.transport = value === 'default' ? null : transport(value);
        break;
      case 'extensions':
        peer.extensions = value === 'default' ? null : onOff(key, value);
        break;
      default:
        throw new UapiError(ERRNO.invalid, `no such key for a peer: ${key}`);
    }
  }
}

function hexKey(key: string, value: string): Uint8Array {
  const bytes = parseHexKey(value);
  if (bytes === null) throw new UapiError(ERRNO.invalid, `${key} is not 64 hexadecimal digits`);
  return bytes;
}

function keyOrNull(key: string, value: string): Uint8Array | null {
  const bytes = hexKey(key, value);
  return isZeroKey(bytes) ? null : bytes;
}

function integer(key: string, value: string, max: number): number {
  const number = parseNumber(value, 0, max);
  if (number === null) throw new UapiError(ERRNO.invalid, `${key} is not a number up to ${max}`);
  return number;
}

function flag(key: string, value: string): true {
  if (value !== 'true') throw new UapiError(ERRNO.invalid, `${key} can only be true`);
  return true;
}

function transport(value: string): Transport {
  const result = parseTransport(value);
  if (result === null) throw new UapiError(ERRNO.invalid, 'transport is tcp, udp or auto');
  return result;
}

function onOff(key: string, value: string): boolean {
  const result = parseSwitch(value);
  if (result === null) throw new UapiError(ERRNO.invalid, `${key} is on or off`);
  return result;
}

function allowedIp(value: string): AllowedIpChange {
  const remove = value.startsWith('-');
  const text = remove ? value.slice(1) : value;
  const prefix = text.includes('/') ? parsePrefix(text) : null;
  if (prefix === null) throw new UapiError(ERRNO.invalid, 'allowed_ip is not ADDRESS/LENGTH');
  return remove ? { prefix, remove } : { prefix };
}

function endpoint(value: string, zone: ZoneIndex): Endpoint {
  const result = parseZonedEndpoint(value, zone);
  if (result === null) throw new UapiError(ERRNO.invalid, 'endpoint is not IP:PORT');
  return result;
}
