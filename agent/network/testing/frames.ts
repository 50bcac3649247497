/** Ethernet frames with TCP segments over IPv4, made and read by hand. */
import { parseIpv4 } from "../../core/egress.ts";
import { formatIpv4, GUEST_IP, GUEST_MAC, TAP_MAC } from "../../core/slot_plan.ts";

/** Flags of a TCP segment. */
export const Flag = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16 } as const;

/** A TCP segment. */
export interface Segment {
  readonly from: string;
  readonly fromPort: number;
  readonly to: string;
  readonly toPort: number;
  readonly flags: number;
  readonly seq: number;
  readonly ack: number;
  readonly payload: string;
}

const ETHERNET = 14;
const IP = 20;
const TCP = 20;
const ETHERTYPE_IPV4 = 0x0800;
const PROTOCOL_TCP = 6;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** EtherType of ARP. */
export const ETHERTYPE_ARP = 0x0806;

/** The segment in the frame that a guest sends. */
export function guestFrame(segment: Omit<Segment, "from">): Uint8Array<ArrayBuffer> {
  const payload = encoder.encode(segment.payload);
  const frame = new Uint8Array(ETHERNET + IP + TCP + payload.length);
  const view = new DataView(frame.buffer);
  frame.set(macBytes(TAP_MAC), 0);
  frame.set(macBytes(GUEST_MAC), 6);
  view.setUint16(12, ETHERTYPE_IPV4);
  view.setUint8(ETHERNET, 0x45);
  view.setUint16(ETHERNET + 2, frame.length - ETHERNET);
  view.setUint16(ETHERNET + 6, 0x4000); // Do not fragment.
  view.setUint8(ETHERNET + 8, 64);
  view.setUint8(ETHERNET + 9, PROTOCOL_TCP);
  view.setUint32(ETHERNET + 12, parseIpv4(GUEST_IP) ?? 0);
  view.setUint32(ETHERNET + 16, parseIpv4(segment.to) ?? 0);
  view.setUint16(ETHERNET + 10, checksum(frame.subarray(ETHERNET, ETHERNET + IP)));
  const tcp = ETHERNET + IP;
  view.setUint16(tcp, segment.fromPort);
  view.setUint16(tcp + 2, segment.toPort);
  view.setUint32(tcp + 4, segment.seq);
  view.setUint32(tcp + 8, segment.ack);
  view.setUint8(tcp + 12, (TCP / 4) << 4);
  view.setUint8(tcp + 13, segment.flags);
  view.setUint16(tcp + 14, 64000);
  frame.set(payload, tcp + TCP);
  view.setUint16(tcp + 16, tcpChecksum(frame));
  return frame;
}

/** The TCP segment in a frame; undefined when there is none. */
export function readSegment(frame: Uint8Array<ArrayBuffer>): Segment | undefined {
  if (etherType(frame) !== ETHERTYPE_IPV4 || frame[ETHERNET + 9] !== PROTOCOL_TCP) return undefined;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const tcp = ETHERNET + 4 * (view.getUint8(ETHERNET) & 15);
  const end = ETHERNET + view.getUint16(ETHERNET + 2);
  return {
    from: formatIpv4(view.getUint32(ETHERNET + 12)),
    to: formatIpv4(view.getUint32(ETHERNET + 16)),
    fromPort: view.getUint16(tcp),
    toPort: view.getUint16(tcp + 2),
    seq: view.getUint32(tcp + 4),
    ack: view.getUint32(tcp + 8),
    flags: view.getUint8(tcp + 13),
    payload: decoder.decode(frame.subarray(tcp + 4 * (view.getUint8(tcp + 12) >> 4), end)),
  };
}

/** EtherType of a frame. */
export function etherType(frame: Uint8Array): number {
  return ((frame[12] ?? 0) << 8) | (frame[13] ?? 0);
}

/** Checksum of a frame's TCP segment, over its pseudo header too: 0 for a frame that has a right one. */
export function tcpChecksum(frame: Uint8Array): number {
  const segment = frame.subarray(ETHERNET + IP);
  const pseudo = new Uint8Array(12 + segment.length + segment.length % 2);
  pseudo.set(frame.subarray(ETHERNET + 12, ETHERNET + IP), 0);
  pseudo[9] = PROTOCOL_TCP;
  new DataView(pseudo.buffer).setUint16(10, segment.length);
  pseudo.set(segment, 12);
  return checksum(pseudo);
}

/** Ones' complement of the ones' complement sum of 16-bit words (RFC 1071). */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) + (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function macBytes(mac: string): number[] {
  return mac.split(":").map((byte) => parseInt(byte, 16));
}
