/** Where fields are in the headers that offload looks at, in bytes, and their bits. */

/** RFC 791 §3.1 */
export const IP4_TOS = 1;
export const IP4_LENGTH = 2;
export const IP4_ID = 4;
/** 3 bits of flags (bit 14: don't fragment, bit 13: more fragments), 13 bits of offset */
export const IP4_FRAGMENT = 6;
export const IP4_TTL = 8;
export const IP4_PROTOCOL = 9;
export const IP4_CHECKSUM = 10;
export const IP4_HEADER = 20;
/** the fragment field without "don't fragment": not zero in any fragment, nor if the reserved bit is set */
export const IP4_FRAGMENTED = 0xbfff;

/** RFC 8200 §3 */
export const IP6_LENGTH = 4;
export const IP6_NEXT = 6;
export const IP6_HOPS = 7;
export const IP6_HEADER = 40;

/** RFC 9293 §3.1 */
export const TCP_SEQ = 4;
export const TCP_ACK = 8;
/** data offset in the high four bits */
export const TCP_OFFSET = 12;
export const TCP_FLAGS = 13;
export const TCP_WINDOW = 14;
export const TCP_CHECKSUM = 16;
export const TCP_URGENT = 18;
export const TCP_HEADER = 20;
export const FLAG_FIN = 0x01;
export const FLAG_PSH = 0x08;
export const FLAG_ACK = 0x10;
/** the two of RFC 3168 §6.1 */
export const FLAG_ECE = 0x40;
export const FLAG_CWR = 0x80;

/** RFC 768 */
export const UDP_LENGTH = 4;
export const UDP_CHECKSUM = 6;
export const UDP_HEADER = 8;
