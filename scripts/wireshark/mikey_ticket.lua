-- MIKEY for Wireshark and tshark, with what their own dissector does not know: MIKEY-TICKET (RFC 6043) and the
-- GENERIC-ID map (RFC 6043 6.1.1). All messages are shown, those of RFC 3830, RFC 4738, RFC 6267 and RFC 6509 too.
--
--     tshark -X lua_script:scripts/wireshark/mikey_ticket.lua -V -r capture.pcap
--
-- It takes the place of the built-in dissector for a=key-mgmt:mikey in SDP, UDP and TCP port 2269, and the media
-- type application/mikey. Nothing is decrypted and no MAC is checked.

local mikey = Proto("mikeyticket", "Multimedia Internet KEYing (RFC 3830, RFC 6043)")
local MAX_PAYLOADS = 256

-- Numbers

local DATA_TYPES = {
    [0] = "PSK_INIT", [1] = "PSK_RESP", [2] = "PK_INIT", [3] = "PK_RESP", [4] = "DH_INIT", [5] = "DH_RESP",
    [6] = "ERROR", [7] = "DHHMAC_INIT", [8] = "DHHMAC_RESP", [9] = "RSA_R_INIT", [10] = "RSA_R_RESP",
    [11] = "REQUEST_INIT_PSK", [12] = "REQUEST_INIT_PK", [13] = "REQUEST_RESP", [14] = "TRANSFER_INIT",
    [15] = "TRANSFER_RESP", [16] = "RESOLVE_INIT_PSK", [17] = "RESOLVE_INIT_PK", [18] = "RESOLVE_RESP",
    [19] = "REQUEST_KEY_PSK", [20] = "REQUEST_KEY_PKE", [21] = "REQUEST_KEY_RESP", [22] = "IBAKE_I_MESSAGE_1",
    [23] = "IBAKE_R_MESSAGE_1", [24] = "IBAKE_I_MESSAGE_2", [25] = "IBAKE_R_MESSAGE_2", [26] = "SAKKE",
    [27] = "CS_ID_MAP_UPDATE",
}
local PAYLOADS = {
    [0] = "Last", [1] = "KEMAC", [2] = "PKE", [3] = "DH", [4] = "SIGN", [5] = "T", [6] = "ID", [7] = "CERT",
    [8] = "CHASH", [9] = "V", [10] = "SP", [11] = "RAND", [12] = "ERR", [13] = "TR", [14] = "IDR", [15] = "RANDR",
    [16] = "TP", [17] = "TICKET", [20] = "Key data", [21] = "General extension", [22] = "IBAKE", [23] = "ESK",
    [24] = "SK", [25] = "ECCPT", [26] = "SAKKE",
}
local PRF = { [0] = "MIKEY-1", [1] = "PRF-HMAC-SHA-256" }
local MAPS = { [0] = "SRTP-ID", [1] = "Empty map", [2] = "GENERIC-ID" }
local PROTOCOLS = { [0] = "SRTP", [1] = "TESLA" }
local ENCRYPTION = { [0] = "NULL", [1] = "AES-CM-128", [2] = "AES-KW-128", [3] = "AES-CM-256" }
local MACS = { [0] = "NULL", [1] = "HMAC-SHA-1-160", [2] = "HMAC-SHA-256-256" }
local HASHES = { [0] = "SHA-1", [1] = "MD5", [2] = "SHA-256" }
local SIGNATURES = { [0] = "RSA PKCS#1 v1.5", [1] = "RSA-PSS", [2] = "ECCSI" }
local CACHES = { [0] = "not cached", [1] = "cached", [2] = "cached for this CSB" }
local KEYS = {
    [0] = "TGK", [1] = "TGK+SALT", [2] = "TEK", [3] = "TEK+SALT", [4] = "GTGK", [5] = "GTGK+SALT", [6] = "MPK",
    [7] = "K_PR",
}
local VALIDITIES = { [0] = "Null", [1] = "SPI/MKI", [2] = "Interval" }
local TIMES = { [0] = "NTP-UTC", [1] = "NTP", [2] = "COUNTER", [3] = "NTP-UTC-32" }
local TIME_ROLES = { [1] = "TRi issue", [2] = "TRs start", [3] = "TRe end", [4] = "TRr rekeying interval" }
local IDS = { [0] = "NAI", [1] = "URI", [2] = "Byte string" }
local ID_ROLES = {
    [1] = "IDRi initiator", [2] = "IDRr responder", [3] = "IDRkms", [4] = "IDRpsk", [5] = "IDRapp", [6] = "IDRkmsi",
    [7] = "IDRkmsr", [8] = "UID of initiator", [9] = "UID of responder",
}
local RAND_ROLES = { [1] = "RANDRi", [2] = "RANDRr", [3] = "RANDRkms" }
local CERTS = { [0] = "X.509v3", [1] = "X.509v3 URL", [2] = "X.509v3 sign", [3] = "X.509v3 encrypt" }
local ERRORS = {
    [0] = "Auth failure", [1] = "Invalid TS", [2] = "Invalid PRF", [3] = "Invalid MAC", [4] = "Invalid EA",
    [5] = "Invalid HA", [6] = "Invalid DH", [7] = "Invalid ID", [8] = "Invalid Cert", [9] = "Invalid SP",
    [10] = "Invalid SPpar", [11] = "Invalid DT", [12] = "Unspecified error", [13] = "Unsupported message type",
    [14] = "Invalid TICKET", [15] = "Invalid TPpar",
}
local EXTENSIONS = {
    [0] = "Vendor ID", [1] = "SDP IDs", [2] = "TESLA I-Key", [3] = "Key ID", [4] = "CSB_ID", [5] = "OMA BCAST",
    [6] = "SAKKE-to-self", [7] = "3GPP key parameters",
}
local SRTP_PARAMS = {
    [0] = "Encryption algorithm", [1] = "Session encr. key length", [2] = "Authentication algorithm",
    [3] = "Session auth. key length", [4] = "Session salt key length", [5] = "SRTP PRF", [6] = "Key derivation rate",
    [7] = "SRTP encryption", [8] = "SRTCP encryption", [9] = "FEC order", [10] = "SRTP authentication",
    [11] = "Authentication tag length", [12] = "SRTP prefix length", [13] = "ROC transmission rate",
    [14] = "SRTP auth. algorithm", [15] = "SRTCP auth. algorithm", [16] = "SRTP auth. key length",
    [17] = "SRTCP auth. key length", [18] = "SRTP tag length", [19] = "SRTCP tag length", [20] = "AEAD tag length",
}
local TICKETS = { [1] = "MIKEY base ticket", [2] = "3GPP base ticket" }
local GROUPS = { [0] = "OAKLEY 5", [1] = "OAKLEY 1", [2] = "OAKLEY 2" }
local FLAGS = {
    { "d", 0x010000, "D: made by the KMS" }, { "e", 0x008000, "E: Ticket Resolve is mandatory" },
    { "f", 0x004000, "F: TRANSFER_RESP is sent" }, { "g", 0x002000, "G: Responder makes RANDRr" },
    { "h", 0x001000, "H: RANDRi enters session keys" }, { "i", 0x000800, "I: keys are forked" },
    { "j", 0x000400, "J: may be reused" }, { "k", 0x000200, "K: the KMS changed the policy" },
    { "l", 0x000100, "L: Initiator may supply keys" }, { "m", 0x000080, "M: Responder may supply keys" },
    { "n", 0x000040, "N: usable by any Initiator" }, { "o", 0x000020, "O: usable by any Responder" },
}

-- Lengths that a number fixes

local MAC_OCTETS = { [0] = 0, [1] = 20, [2] = 32 }
local HASH_OCTETS = { [0] = 20, [1] = 16, [2] = 32 }
local TIME_OCTETS = { [0] = 8, [1] = 8, [2] = 4, [3] = 4 }
local DH_OCTETS = { [0] = 192, [1] = 96, [2] = 128 }
local ECC_OCTETS = { 24, 21, 21, 21, 28, 30, 30, 32, 36, 36, 48, 52, 52, 66, 72, 72 }

-- Fields, made as they are named

local all = {}
local function number(name, title, values, kind, mask)
    local made = ProtoField.new(title, "mikeyticket." .. name, kind or ftypes.UINT8, values, base.DEC, mask)
    all[#all + 1] = made
    return made
end
local function hex(name, title, kind)
    local made = ProtoField.new(title, "mikeyticket." .. name, kind or ftypes.UINT32, nil, base.HEX)
    all[#all + 1] = made
    return made
end
local function octets(name, title)
    local made = ProtoField.new(title, "mikeyticket." .. name, ftypes.BYTES)
    all[#all + 1] = made
    return made
end

local f = {
    version = number("version", "Version"),
    data_type = number("data_type", "Data type", DATA_TYPES),
    next = number("next", "Next payload", PAYLOADS),
    v = number("v", "V: a response is expected", nil, ftypes.UINT8, 0x80),
    prf = number("prf", "PRF function", PRF, ftypes.UINT8, 0x7F),
    csb_id = hex("csb_id", "CSB ID"),
    count = number("cs_count", "Crypto sessions"),
    map_type = number("map_type", "CS ID map type", MAPS),
    cs_id = number("cs.id", "CS ID"),
    cs_protocol = number("cs.protocol", "Protocol", PROTOCOLS),
    cs_s = number("cs.s", "S: ROC and SEQ are present", nil, ftypes.UINT8, 0x80),
    cs_policies = number("cs.policies", "Policies", nil, ftypes.UINT8, 0x7F),
    cs_policy = number("cs.policy", "Policy"),
    cs_data_length = number("cs.data_length", "Session data length", nil, ftypes.UINT16),
    cs_data = octets("cs.data", "Session data"),
    cs_ssrc = hex("cs.ssrc", "SSRC"),
    cs_roc = number("cs.roc", "ROC", nil, ftypes.UINT32),
    cs_seq = number("cs.seq", "SEQ", nil, ftypes.UINT16),
    cs_spi_length = number("cs.spi_length", "SPI length"),
    cs_spi = octets("cs.spi", "SPI"),
    length8 = number("length", "Length"),
    length16 = number("length16", "Length", nil, ftypes.UINT16),
    encr_alg = number("encr_alg", "Encryption algorithm", ENCRYPTION),
    encr_data = octets("encr_data", "Encrypted data"),
    mac_alg = number("mac_alg", "MAC algorithm", MACS),
    mac = octets("mac", "MAC"),
    cache = number("cache", "C", CACHES, ftypes.UINT16, 0xC000),
    pke_length = number("pke_length", "Length", nil, ftypes.UINT16, 0x3FFF),
    data = octets("data", "Data"),
    group = number("dh_group", "DH group", GROUPS),
    dh_value = octets("dh_value", "DH value"),
    reserved4 = number("reserved4", "Reserved", nil, ftypes.UINT8, 0xF0),
    kv = number("kv", "Key validity", VALIDITIES, ftypes.UINT8, 0x0F),
    spi = octets("spi", "SPI/MKI"),
    valid_from = octets("valid_from", "Valid from"),
    valid_to = octets("valid_to", "Valid to"),
    sign_type = number("sign_type", "Signature type", SIGNATURES, ftypes.UINT16, 0xF000),
    sign_length = number("sign_length", "Length", nil, ftypes.UINT16, 0x0FFF),
    signature = octets("signature", "Signature"),
    ts_type = number("ts_type", "TS type", TIMES),
    ts_value = octets("ts_value", "TS value"),
    ts_role = number("ts_role", "TS role", TIME_ROLES),
    id_type = number("id_type", "ID type", IDS),
    id_role = number("id_role", "ID role", ID_ROLES),
    id_data = octets("id_data", "ID data"),
    cert_type = number("cert_type", "Certificate type", CERTS),
    cert = octets("cert", "Certificate"),
    hash_func = number("hash_func", "Hash function", HASHES),
    hash = octets("hash", "Hash"),
    sp_policy = number("sp.policy", "Policy number"),
    sp_protocol = number("sp.protocol", "Protocol", PROTOCOLS),
    sp_param = octets("sp.param", "Parameter"),
    sp_type = number("sp.param.type", "Type", SRTP_PARAMS),
    sp_value = octets("sp.param.value", "Value"),
    rand = octets("rand", "RAND"),
    rand_role = number("rand_role", "RAND role", RAND_ROLES),
    error_no = number("error_no", "Error", ERRORS),
    reserved16 = number("reserved16", "Reserved", nil, ftypes.UINT16),
    ticket_type = number("ticket.type", "Ticket type", TICKETS, ftypes.UINT16),
    ticket_subtype = number("ticket.subtype", "Subtype"),
    ticket_version = number("ticket.version", "Version"),
    ticket_prf = number("ticket.prf", "PRF function", PRF, ftypes.UINT24, 0xFE0000),
    ticket_reserved = number("ticket.reserved", "Reserved", nil, ftypes.UINT24, 0x00001F),
    tp_data = octets("ticket.tp_data", "TP Data"),
    ticket_data = octets("ticket.data", "Ticket Data"),
    initiator_data = octets("ticket.initiator_data", "Initiator Data"),
    first = number("first", "First payload", PAYLOADS),
    thdr_data = octets("thdr_data", "THDR Data"),
    key_type = number("key_type", "Key type", KEYS, ftypes.UINT8, 0xF0),
    key = octets("key", "Key"),
    salt = octets("salt", "Salt"),
    extension = number("extension", "Extension type", EXTENSIONS),
    extension_data = octets("extension_data", "Extension data"),
    curve = number("ecc_curve", "ECC curve"),
    point = octets("ecc_point", "ECC point"),
    tgk_length = number("tgk_length", "TGK length", nil, ftypes.UINT16),
    sakke_params = number("sakke.params", "SAKKE parameter set"),
    sakke_scheme = number("sakke.id_scheme", "ID scheme"),
    sakke_data = octets("sakke.data", "SAKKE data"),
}
for _, flag in ipairs(FLAGS) do
    f["flag_" .. flag[1]] = number("ticket.flag." .. flag[1], flag[3], nil, ftypes.UINT24, flag[2])
end
mikey.fields = all

local malformed = ProtoExpert.new("mikeyticket.malformed", "Malformed", expert.group.MALFORMED, expert.severity.ERROR)
mikey.experts = { malformed }

-- Reading: a cursor over octets from `at` to before `stop`; once something does not fit, nothing more is read

local Cursor = {}
Cursor.__index = Cursor

local function cursor(tvb, at, stop)
    return setmetatable({ tvb = tvb, at = at, stop = stop, ok = true }, Cursor)
end

function Cursor:fail(tree, reason)
    if self.ok then
        tree:add_proto_expert_info(malformed, reason)
    end
    self.ok = false
end

function Cursor:has(tree, wanted)
    if self.ok and self.at + wanted > self.stop then
        self:fail(tree, "the octets end inside " .. tostring(wanted) .. " octets that are announced here")
    end
    return self.ok
end

-- A number of 1, 2, 3 or 4 octets; several fields may share them
function Cursor:number(tree, size, ...)
    if not self:has(tree, size) then
        return 0
    end
    local range = self.tvb(self.at, size)
    for _, each in ipairs({ ... }) do
        tree:add(each, range)
    end
    self.at = self.at + size
    return range:uint()
end

function Cursor:octets(tree, size, what, text)
    if not self:has(tree, size) then
        return nil
    end
    local at = self.at
    self.at = at + size
    if size == 0 then
        return nil
    end
    local range = self.tvb(at, size)
    local item = tree:add(what, range)
    if text then
        local shown = range:string():gsub("[^\32-\126]", ".")
        item:append_text(" (" .. shown .. ")")
    end
    return range
end

function Cursor:long(tree, what, text)
    return self:octets(tree, self:number(tree, 2, f.length16), what, text)
end

function Cursor:short(tree, what)
    return self:octets(tree, self:number(tree, 1, f.length8), what)
end

-- Octets whose number of octets an algorithm fixes
function Cursor:by(tree, what, lengths, chosen)
    local size = lengths[chosen]
    if size == nil then
        self:fail(tree, "unknown number " .. tostring(chosen) .. ": nobody knows how long this is")
        return
    end
    self:octets(tree, size, what)
end

function Cursor:validity(tree, kind)
    if kind == 1 then
        self:short(tree, f.spi)
    elseif kind == 2 then
        self:short(tree, f.valid_from)
        self:short(tree, f.valid_to)
    elseif kind ~= 0 then
        self:fail(tree, "unknown key validity")
    end
end

local chain

-- A part that is a chain of its own, shown below the field that holds it
local function nested(c, tree, title, start, size, first, skip)
    local inner = cursor(c.tvb, start + skip, start + size)
    chain(inner, tree:add(mikey, c.tvb(start, size), title), first)
end

local function named_first(c, tree, title, what, text)
    local size = c:number(tree, 2, f.length16)
    local start = c.at
    if not c:octets(tree, size, what, text) then
        return
    end
    local inner = tree:add(mikey, c.tvb(start, size), title)
    inner:add(f.first, c.tvb(start, 1))
    chain(cursor(c.tvb, start + 1, start + size), inner, c.tvb(start, 1):uint())
end

local function policy(c, tree)
    c:number(tree, 2, f.ticket_type)
    c:number(tree, 1, f.ticket_subtype)
    c:number(tree, 1, f.ticket_version)
    local shared = { f.ticket_prf }
    for _, flag in ipairs(FLAGS) do
        shared[#shared + 1] = f["flag_" .. flag[1]]
    end
    shared[#shared + 1] = f.ticket_reserved
    local bits = c:number(tree, 3, (table.unpack or unpack)(shared))
    local letters = ""
    for _, flag in ipairs(FLAGS) do
        if bit.band(bits, flag[2]) ~= 0 then
            letters = letters .. flag[1]:upper()
        end
    end
    tree:append_text(", flags " .. letters)
    named_first(c, tree, "TP Data", f.tp_data)
end

local function ticket_data(c, tree)
    local size = c:number(tree, 2, f.length16)
    local start = c.at
    if not c:octets(tree, size, f.ticket_data) then
        return
    end
    local inner = tree:add(mikey, c.tvb(start, size), "Ticket Data")
    local head = cursor(c.tvb, start, start + size)
    local first = head:number(inner, 1, f.next)
    head:long(inner, f.thdr_data)
    if head.ok then
        chain(head, inner, first)
    end
end

local function initiator_data(c, tree)
    local size = c:number(tree, 2, f.length16)
    local start = c.at
    if not c:octets(tree, size, f.initiator_data) then
        return
    end
    local inner = tree:add(mikey, c.tvb(start, size), "Initiator Data")
    inner:add(f.first, c.tvb(start, 1))
    local parts = cursor(c.tvb, start + 1, start + size)
    -- A copy of V that says to be the last payload is followed by Vr all the same (RFC 6043 5.1.5).
    parts.copy_of_v = true
    chain(parts, inner, c.tvb(start, 1):uint())
end

local show = {
    [1] = function(c, tree)
        local alg = c:number(tree, 1, f.encr_alg)
        local size = c:number(tree, 2, f.length16)
        local start = c.at
        if c:octets(tree, size, f.encr_data) and alg == 0 then
            nested(c, tree, "Keys in clear", start, size, 20, 0)
        end
        c:by(tree, f.mac, MAC_OCTETS, c:number(tree, 1, f.mac_alg))
    end,
    [2] = function(c, tree)
        local bits = c:number(tree, 2, f.cache, f.pke_length)
        c:octets(tree, bit.band(bits, 0x3FFF), f.data)
    end,
    [3] = function(c, tree)
        c:by(tree, f.dh_value, DH_OCTETS, c:number(tree, 1, f.group))
        c:validity(tree, bit.band(c:number(tree, 1, f.reserved4, f.kv), 0x0F))
    end,
    [4] = function(c, tree)
        local bits = c:number(tree, 2, f.sign_type, f.sign_length)
        c:octets(tree, bit.band(bits, 0x0FFF), f.signature)
    end,
    [5] = function(c, tree)
        c:by(tree, f.ts_value, TIME_OCTETS, c:number(tree, 1, f.ts_type))
    end,
    [6] = function(c, tree)
        c:number(tree, 1, f.id_type)
        c:long(tree, f.id_data, true)
    end,
    [7] = function(c, tree)
        c:number(tree, 1, f.cert_type)
        c:long(tree, f.cert)
    end,
    [8] = function(c, tree)
        c:by(tree, f.hash, HASH_OCTETS, c:number(tree, 1, f.hash_func))
    end,
    [9] = function(c, tree)
        c:by(tree, f.mac, MAC_OCTETS, c:number(tree, 1, f.mac_alg))
    end,
    [10] = function(c, tree)
        c:number(tree, 1, f.sp_policy)
        c:number(tree, 1, f.sp_protocol)
        local size = c:number(tree, 2, f.length16)
        if not c:has(tree, size) then
            return
        end
        local params = cursor(c.tvb, c.at, c.at + size)
        while params.ok and params.at < params.stop do
            local start = params.at
            local probe = cursor(c.tvb, start, params.stop)
            if not probe:has(tree, 2) or not probe:has(tree, 2 + c.tvb(start + 1, 1):uint()) then
                c.ok = false
                return
            end
            local whole = c.tvb(start, 2 + c.tvb(start + 1, 1):uint())
            local item = tree:add(f.sp_param, whole)
            local kind = params:number(item, 1, f.sp_type)
            local value = params:octets(item, params:number(item, 1, f.length8), f.sp_value)
            local shown = value and (value:len() <= 4 and tostring(value:uint()) or tostring(value:bytes())) or "nothing"
            item:set_text((SRTP_PARAMS[kind] or "Parameter " .. kind) .. ": " .. shown)
        end
        c.at = c.at + size
    end,
    [11] = function(c, tree)
        c:short(tree, f.rand)
    end,
    [12] = function(c, tree)
        c:number(tree, 1, f.error_no)
        c:number(tree, 2, f.reserved16)
    end,
    [13] = function(c, tree)
        c:number(tree, 1, f.ts_role)
        c:by(tree, f.ts_value, TIME_OCTETS, c:number(tree, 1, f.ts_type))
    end,
    [14] = function(c, tree)
        local role = c:number(tree, 1, f.id_role)
        c:number(tree, 1, f.id_type)
        local data = c:long(tree, f.id_data, true)
        if data then
            tree:append_text(", " .. (ID_ROLES[role] or role) .. ": " .. data:string():gsub("[^\32-\126]", "."))
        end
    end,
    [15] = function(c, tree)
        tree:append_text(", " .. (RAND_ROLES[c:number(tree, 1, f.rand_role)] or "unknown role"))
        c:short(tree, f.rand)
    end,
    [16] = policy,
    [17] = function(c, tree)
        policy(c, tree)
        ticket_data(c, tree)
        initiator_data(c, tree)
    end,
    [20] = function(c, tree)
        local bits = c:number(tree, 1, f.key_type, f.kv)
        local kind = bit.rshift(bits, 4)
        tree:append_text(", " .. (KEYS[kind] or kind))
        c:long(tree, f.key)
        if kind == 1 or kind == 3 or kind == 5 then
            c:long(tree, f.salt)
        end
        c:validity(tree, bit.band(bits, 0x0F))
    end,
    [21] = function(c, tree)
        c:number(tree, 1, f.extension)
        c:long(tree, f.extension_data, true)
    end,
    [22] = function(c, tree)
        c:long(tree, f.data)
    end,
    [23] = function(c, tree)
        c:long(tree, f.data)
    end,
    [24] = function(c, tree)
        local bits = c:number(tree, 1, f.key_type, f.kv)
        c:long(tree, f.key)
        c:validity(tree, bit.band(bits, 0x0F))
    end,
    [25] = function(c, tree)
        local size = ECC_OCTETS[c:number(tree, 1, f.curve)]
        if size == nil then
            c:fail(tree, "unknown curve")
            return
        end
        c:octets(tree, 1 + 2 * size, f.point)
        c.at = c.at + (-(3 + 2 * size) % 4)
        c:number(tree, 1, f.mac_alg)
        c:number(tree, 2, f.tgk_length)
        c:validity(tree, bit.band(c:number(tree, 1, f.reserved4, f.kv), 0x0F))
    end,
    [26] = function(c, tree)
        c:number(tree, 1, f.sakke_params)
        c:number(tree, 1, f.sakke_scheme)
        c:long(tree, f.sakke_data)
    end,
}

-- Payloads one after the other, exactly to the end of the cursor
chain = function(c, tree, following)
    for place = 1, MAX_PAYLOADS do
        if following == 0 then
            break
        end
        local handler = show[following]
        if handler == nil then
            c:fail(tree, "unknown payload " .. tostring(following))
            return
        end
        if c.at >= c.stop then
            c:fail(tree, "the octets end before payload " .. PAYLOADS[following])
            return
        end
        local start, current = c.at, following
        local item = tree:add(mikey, c.tvb(start, c.stop - start), PAYLOADS[current])
        following = 0
        if current ~= 4 then
            following = c:number(item, 1, f.next)
        end
        handler(c, item)
        if not c.ok then
            return
        end
        item:set_len(c.at - start)
        if c.copy_of_v and place == 1 and current == 9 and following == 0 and c.at < c.stop then
            following = 9
        end
    end
    if following ~= 0 then
        c:fail(tree, "more than " .. MAX_PAYLOADS .. " payloads")
    elseif c.ok and c.at < c.stop then
        c:fail(tree, tostring(c.stop - c.at) .. " octets behind the last payload")
    end
end

-- The header

local function srtp_session(c, tree, place)
    local start = c.at
    if not c:has(tree, 9) then
        return
    end
    local item = tree:add(mikey, c.tvb(start, 9), "Crypto session " .. place)
    c:number(item, 1, f.cs_policy)
    c:number(item, 4, f.cs_ssrc)
    c:number(item, 4, f.cs_roc)
end

local function generic_session(c, tree)
    local start = c.at
    if not c:has(tree, 6) then
        return
    end
    local item = tree:add(mikey, c.tvb(start, c.stop - start), "Crypto session " .. c.tvb(start, 1):uint())
    c:number(item, 1, f.cs_id)
    c:number(item, 1, f.cs_protocol)
    local bits = c:number(item, 1, f.cs_s, f.cs_policies)
    for _ = 1, bit.band(bits, 0x7F) do
        c:number(item, 1, f.cs_policy)
    end
    local size = c:number(item, 2, f.cs_data_length)
    if size == 4 or size == 10 then
        c:number(item, 4, f.cs_ssrc)
        if size == 10 then
            c:number(item, 4, f.cs_roc)
            c:number(item, 2, f.cs_seq)
        end
    else
        c:octets(item, size, f.cs_data)
    end
    c:octets(item, c:number(item, 1, f.cs_spi_length), f.cs_spi)
    if c.ok then
        item:set_len(c.at - start)
    end
end

local function header(c, tree)
    local item = tree:add(mikey, c.tvb(0, c.stop), "HDR")
    c:number(item, 1, f.version)
    c:number(item, 1, f.data_type)
    local first = c:number(item, 1, f.next)
    c:number(item, 1, f.v, f.prf)
    c:number(item, 4, f.csb_id)
    local count = c:number(item, 1, f.count)
    local map = c:number(item, 1, f.map_type)
    if c.ok and MAPS[map] == nil then
        c:fail(item, "unknown map type " .. tostring(map))
    end
    for place = 1, map == 1 and 0 or count do
        if not c.ok then
            break
        end
        if map == 0 then
            srtp_session(c, item, place)
        else
            generic_session(c, item)
        end
    end
    if c.ok then
        item:set_len(c.at)
    end
    return first
end

function mikey.dissector(tvb, pinfo, tree)
    if tvb:len() < 10 or tvb(0, 1):uint() ~= 1 then
        return 0
    end
    local name = DATA_TYPES[tvb(1, 1):uint()] or ("data type " .. tvb(1, 1):uint())
    local csb = string.format("%08x", tvb(4, 4):uint())
    local top = tree:add(mikey, tvb(), "MIKEY " .. name .. ", CSB " .. csb)
    local c = cursor(tvb, 0, tvb:len())
    local first = header(c, top)
    if c.ok then
        chain(c, top, first)
    end
    pinfo.cols.info:append(" [MIKEY " .. name .. " CSB " .. csb .. "]")
    return tvb:len()
end

-- The built-in dissector of SDP hands over attributes of the session level alone; those of a media line are taken from
-- its fields behind it.

local attributes = Field.new("sdp.media_attr")
local in_media = Proto("mikeyticket_sdp", "MIKEY in attributes of SDP media lines")

function in_media.dissector(_, pinfo, tree)
    for _, info in ipairs({ attributes() }) do
        local text = info.range:string():match("key%-mgmt:%s?mikey%s+([%w+/=]+)")
        if text then
            local decoded = ByteArray.new(text, true):base64_decode()
            if decoded:len() >= 10 then
                mikey.dissector(decoded:tvb("MIKEY"), pinfo, tree)
            end
        end
    end
end

register_postdissector(in_media)
DissectorTable.get("key_mgmt"):set("mikey", mikey)
DissectorTable.get("udp.port"):set(2269, mikey)
DissectorTable.get("tcp.port"):set(2269, mikey)
DissectorTable.get("media_type"):set("application/mikey", mikey)
