-- WireGuard over TCP for Wireshark and tshark: the records that carry WireGuard messages on a TCP stream.
--
--     0     4    5     6        8            12
--     +-----+----+-----+--------+------------+---------…
--     | len |type|flags|checksum| (fragment) | message
--     +-----+----+-----+--------+------------+---------…
--
-- The message goes to Wireshark's own WireGuard dissector, which decrypts with its key log (wg.keylog_file) or with the secrets
-- in the capture. Where the bytes at hand are no header the next one is searched for, so that streams that were joined in
-- the middle, or are damaged, are dissected as far as they can be.
--
-- Try it: tshark -X lua_script:wirestream.lua -r tunnel.pcap -Y wg
-- Streams are recognised by themselves; "Decode As… wirestream" takes those that are not.

local HEADER = 8
local FRAGMENT = 4
local MESSAGE_MIN = 32
local RECORD_MAX = 65535 + HEADER

local proto = Proto("wirestream", "WireGuard over TCP")
local f = proto.fields
f.length = ProtoField.uint32("wirestream.length", "Length", base.DEC, nil, nil, "Of the whole record, header included")
f.type = ProtoField.uint8("wirestream.type", "Type", base.DEC, { [0] = "WireGuard message" })
f.flags = ProtoField.uint8("wirestream.flags", "Flags", base.HEX)
f.fragment = ProtoField.bool("wirestream.flags.fragment", "The inner packet is an IPv4 fragment", 8, nil, 0x01)
f.checksum = ProtoField.uint16("wirestream.checksum", "Checksum", base.HEX)
f.identification = ProtoField.uint16("wirestream.fragment.id", "Inner identification", base.HEX)
f.field = ProtoField.uint16("wirestream.fragment.field", "Inner flags and fragment offset", base.HEX)
f.skipped = ProtoField.bytes("wirestream.skipped", "Bytes that belong to no record")

local skipped = ProtoExpert.new(
  "wirestream.resync",
  "Bytes that belong to no record: the receiver resynchronises",
  expert.group.SEQUENCE,
  expert.severity.WARN
)
proto.experts = { skipped }

local wg = Dissector.get("wg")
local band, bor, bxor, lshift, rshift = bit.band, bit.bor, bit.bxor, bit.lshift, bit.rshift

local function checksum(length, kind, flags)
  local c = bxor(rshift(length, 16), band(length, 0xffff), bor(lshift(flags, 8), kind))
  return bxor(band(bor(lshift(c, 5), rshift(c, 11)), 0xffff), 0xa5a5)
end

local function header_length(flags)
  return band(flags, 1) ~= 0 and HEADER + FRAGMENT or HEADER
end

--- The length of the record whose header is at offset, where there are 8 bytes at least; nil when there is none.
local function record_at(tvb, offset)
  local length = tvb(offset, 4):uint()
  local kind = tvb(offset + 4, 1):uint()
  local flags = tvb(offset + 5, 1):uint()
  if kind ~= 0 or flags > 1 or length > RECORD_MAX or length < header_length(flags) + MESSAGE_MIN then
    return nil
  end
  if tvb(offset + 6, 2):uint() ~= checksum(length, kind, flags) then
    return nil
  end
  return length
end

--- Whether what lies behind a header begins like a message, as far as it is there.
local function is_message(tvb, offset, length)
  local at = offset + header_length(tvb(offset + 5, 1):uint())
  if tvb:len() < at + 4 then
    return true
  end
  local kind = tvb(at, 1):uint()
  local size = offset + length - at
  if tvb(at + 1, 3):uint() ~= 0 then
    return false
  end
  return kind == 4 or (kind == 1 and size == 148) or (kind == 2 and size == 92) or (kind == 3 and size == 64)
end

--- Where the next record begins, at or behind offset; the last 7 bytes may be the beginning of one.
local function search(tvb, offset)
  for at = offset, tvb:len() - HEADER do
    local length = record_at(tvb, at)
    if length ~= nil and is_message(tvb, at, length) then
      return at
    end
  end
  return math.max(offset, tvb:len() - HEADER + 1)
end

local function dissect_record(tvb, pinfo, root)
  local flags = tvb(5, 1):uint()
  local header = header_length(flags)
  local tree = root:add(proto, tvb(0, header))
  tree:append_text(string.format(", %d bytes", tvb:len()))
  tree:add(f.length, tvb(0, 4))
  tree:add(f.type, tvb(4, 1))
  local bits = tree:add(f.flags, tvb(5, 1))
  bits:add(f.fragment, tvb(5, 1))
  tree:add(f.checksum, tvb(6, 2)):append_text(" (correct)")
  if header > HEADER then
    tree:add(f.identification, tvb(8, 2))
    tree:add(f.field, tvb(10, 2))
  end
  wg:call(tvb(header):tvb(), pinfo, root)
end

--- As many records as the bytes hold; what is incomplete is asked for again with the bytes behind it.
local function dissect_stream(tvb, pinfo, root)
  local offset = 0
  while offset < tvb:len() do
    local left = tvb:len() - offset
    local length = left >= HEADER and record_at(tvb, offset) or nil
    if left >= HEADER and length == nil then
      local found = search(tvb, offset + 1)
      root:add(f.skipped, tvb(offset, found - offset)):add_proto_expert_info(skipped)
      offset = found
    elseif length == nil or length > left then
      pinfo.desegment_offset = offset
      pinfo.desegment_len = length == nil and DESEGMENT_ONE_MORE_SEGMENT or length - left
      return tvb:len()
    else
      dissect_record(tvb(offset, length):tvb(), pinfo, root)
      offset = offset + length
    end
  end
  return tvb:len()
end

function proto.dissector(tvb, pinfo, root)
  pinfo.cols.protocol = "wirestream"
  if pinfo.can_desegment > 0 then
    return dissect_stream(tvb, pinfo, root)
  end
  -- One record in a packet of its own: the interface "records" of a capture.
  if tvb:len() < HEADER or record_at(tvb, 0) == nil then
    return 0
  end
  dissect_record(tvb, pinfo, root)
  return tvb:len()
end

local function recognise(tvb, pinfo, root)
  if tvb:len() < HEADER or record_at(tvb, 0) == nil or not is_message(tvb, 0, record_at(tvb, 0)) then
    return false
  end
  -- The rest of the stream is ours too, wherever its segments begin.
  pinfo.conversation = proto
  proto.dissector(tvb, pinfo, root)
  return true
end

proto:register_heuristic("tcp", recognise)
DissectorTable.get("tcp.port"):add_for_decode_as(proto)
DissectorTable.get("wtap_encap"):add(wtap.USER0, proto)
