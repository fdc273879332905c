import { readFileSync, readdirSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The recorded captures; with WIRESTREAM_FIXTURES those of a folder come to them (docs/interop.md). */
const FOLDERS = [
  fileURLToPath(new URL('../../../../fixtures/kernel/', import.meta.url)),
  ...(process.env['WIRESTREAM_FIXTURES'] === undefined ? [] : [process.env['WIRESTREAM_FIXTURES']]),
];

/** What a direction of a connection carried, as the sidecar has it. */
export interface SidecarDirection {
  readonly bytes: number;
  readonly records: number;
  readonly wg_types: Record<string, number>;
  readonly garbage_runs?: number;
  readonly garbage_bytes?: number;
  readonly garbage_run_lengths?: Record<string, number>;
  readonly fragment_flag_records?: number;
  readonly fragment_metadata_hex?: string[];
}

export interface SidecarConnection {
  readonly dialler: string;
  readonly from: string;
  readonly to: string;
  readonly syn_at: number;
  readonly established: boolean;
  readonly closing?: string[];
  readonly retransmitted_segments?: number;
  readonly dialler_to_acceptor?: SidecarDirection;
  readonly acceptor_to_dialler?: SidecarDirection;
}

export interface SidecarParty {
  readonly outer_address: string;
  /** where it moves to, if that is B */
  readonly other_outer_addresses?: string[];
  readonly public_key: string;
}

/** The ground truth of a capture (fixtures/kernel/README.md); what is used of it here. */
export interface Sidecar {
  readonly name: string;
  readonly transport: 'tcp' | 'udp';
  readonly capture: { readonly file: string; readonly inner_file?: string };
  readonly A: SidecarParty;
  readonly B: SidecarParty;
  readonly counters_read_at_unix: number;
  readonly inner_check?: {
    readonly plaintext_packets_decrypted: number;
    readonly packets_in_inner_capture: number;
    readonly decrypted_not_in_inner: number;
    readonly inner_not_decrypted: number;
  };
  readonly derived_from_capture: {
    readonly packets: number;
    readonly first_packet_unix: number;
    readonly last_packet_unix: number;
    readonly tcp_connections?: SidecarConnection[];
    readonly stranger_connections?: Record<string, { count: number; established: number; bytes_from_B: number }>;
    readonly udp_datagrams?: number;
    readonly flows?: Record<string, number>;
    readonly wg_messages_from_A: Record<string, number>;
    readonly wg_messages_from_B: Record<string, number>;
    readonly wg_message_bytes_from_A: number;
    readonly wg_message_bytes_from_B: number;
    readonly until_counters_were_read: Record<string, number>;
    readonly first_messages: { t: number; from: string; type: number; wg_len: number; conn?: number }[];
    readonly decryption: Record<string, number>;
    readonly handshakes_completed: number;
    readonly handshake_log: (string | number)[][];
    readonly keepalives: [number, string][];
    readonly fragment_metadata_vs_inner_ip_id_and_fragment_field?: { equal: number };
  };
}

export const sidecarNames = FOLDERS.flatMap((folder) =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => name.slice(0, -5)),
);

export function pathOf(file: string): string {
  const paths = FOLDERS.map((folder) => join(folder, file));
  return paths.find(existsSync) ?? paths[0]!;
}

export function readSidecar(name: string): Sidecar {
  return JSON.parse(readFileSync(pathOf(`${name}.json`), 'utf8')) as Sidecar;
}

export function readFixture(file: string): Uint8Array | null {
  return existsSync(pathOf(file)) ? new Uint8Array(readFileSync(pathOf(file))) : null;
}
