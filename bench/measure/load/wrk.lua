-- Runs inside wrk 4, in its one thread: checks and counts every answer of the window, and keeps all others out of wrk's
-- histogram. `wrk.py` starts it and reads what `done` writes.
--
--     wrk -t1 -cUSERS -T60s -s wrk.lua URL -- BODY START_US END_US SPREAD_US COLUMN_US SILENCE_US FILE
--
-- BODY is the one right answer, empty for any. START_US and END_US are the window in microseconds of the monotonic clock.
-- The first requests leave at random within SPREAD_US. Answers are counted in columns of COLUMN_US; SILENCE_US without
-- a right answer is noted. FILE gets the tally as JSON.
--
-- The hooks do not say to which connection an answer belongs, so latencies are wrk's own: from the moment at which a
-- request is written until its answer is complete. wrk records a latency just after `response` has returned, and only
-- below the histogram's `limit`. So `response` opens the limit for right answers of the window and closes it for others.

local ffi = require "ffi"
ffi.cdef [[
typedef struct { long s, ns; } lab_time;
int clock_gettime(int clock, lab_time *time);
int usleep(unsigned int us);
typedef struct { uint64_t count, limit, min, max, data[]; } lab_stats;  // `stats` in src/stats.h of wrk 4.0 to 4.2
typedef struct {                                                        // the beginning of `thread` in src/wrk.h
    unsigned long id; void *loop, *address;
    uint64_t connections, complete, requests, bytes, start;
    void *lua;
    struct { uint32_t connect, read, write, status, timeout; } errors;
} lab_thread;
typedef struct {
    double start, middle, finish, column, silence, gap;  // all times in microseconds
    double at, answered_at, waited;                      // the last event, the last right answer, what requests waited
    int users, flying, carried_in, issued, in_flight;
    bool open, closed;
    int halves[2], answered[256];                        // right answers
    int wrong_bodies, statuses[1000];
    struct { uint32_t connect, read, write; } noted, broken;
    int silent; double silences[40000];
} lab_tally;
extern char __bss_start[], _end[];
]]

local CLOCK_MONOTONIC = 1
local LIMIT = 60 * 1000 * 1000 + 1       -- what -T60s makes of it
local POINTER_FROM = 0x100000000ULL      -- the histogram is large, so its memory lies high

local time, tally = ffi.new("lab_time"), ffi.new("lab_tally")
local thread, histogram, text, right_body  -- the first two are wrk's own
local to_arrive, arrive_at, verified = 0, 0, false

local function now_us()
    ffi.C.clock_gettime(CLOCK_MONOTONIC, time)
    return tonumber(time.s) * 1e6 + tonumber(time.ns) / 1e3
end

local function address_of(one) return tonumber(ffi.cast("uintptr_t", ffi.cast("void *", one))) end

-- wrk gives its histogram to `done` alone, when it has been changed. Until then a static variable of wrk points at it.
local function find_histogram()
    local words = ffi.cast("uint64_t *", math.ceil(address_of(ffi.C.__bss_start) / 8) * 8)
    for index = 0, (address_of(ffi.C._end) - address_of(words)) / 8 - 1 do
        if words[index] >= POINTER_FROM and words[index] % 8 == 0 then
            local found = ffi.cast("lab_stats *", words[index])
            if found.limit == LIMIT then return found end
        end
    end
    error("this wrk keeps its histogram elsewhere: run with --engine locust")
end

-- Connections that broke with a request in flight, and users who could not connect again: wrk gives those up. What is
-- known of them is how many there are since the last look.
local function note_broken()
    local errors, noted, broken = thread.errors, tally.noted, tally.broken
    local inside = tally.open and not tally.closed
    tally.flying = tally.flying - (errors.read - noted.read) - (errors.write - noted.write)
    if inside then
        broken.read = broken.read + errors.read - noted.read
        broken.write = broken.write + errors.write - noted.write
        broken.connect = errors.connect  -- who was given up before fails in the window as well
        tally.issued = tally.issued + errors.connect - noted.connect
        noted.connect = errors.connect
    end
    noted.read, noted.write = errors.read, errors.write
end

-- Go on to a moment: what was in flight until then has waited until then. Open and close the window on the way.
local function pass(at)
    local from, to = math.max(tally.at, tally.start), math.min(at, tally.finish)
    if to > from then tally.waited = tally.waited + tally.flying * (to - from) end
    tally.at = at
    if not tally.open and at >= tally.start then tally.open, tally.carried_in = true, tally.flying end
    local errors, noted = thread.errors, tally.noted
    if errors.connect + errors.read + errors.write > noted.connect + noted.read + noted.write then note_broken() end
    if not tally.closed and at >= tally.finish then tally.closed, tally.in_flight = true, tally.flying end
end

local function note_silence(at)
    if at - tally.answered_at > tally.silence and tally.silent < 40000 then
        tally.silences[tally.silent], tally.silences[tally.silent + 1] = tally.answered_at, at
        tally.silent = tally.silent + 2
    end
    tally.answered_at = at
end

-- Users arrive one after the other, at random, so that they do not march in step.
local function arrive()
    to_arrive = to_arrive - 1
    local at = now_us()
    if arrive_at > at then ffi.C.usleep(arrive_at - at) end
    arrive_at = math.max(at, arrive_at) - math.log(1 - math.random()) * tally.gap
end

function init(arguments)
    thread, histogram = ffi.cast("lab_thread **", wrk.thread)[0], find_histogram()
    histogram.limit = 0
    text, right_body = wrk.format("GET", wrk.path), arguments[1]
    tally.users, tally.start, tally.finish = thread.connections, tonumber(arguments[2]), tonumber(arguments[3])
    tally.gap = tonumber(arguments[4]) / tally.users
    tally.column, tally.silence = tonumber(arguments[5]), tonumber(arguments[6])
    tally.answered_at, tally.middle = tally.start, (tally.start + tally.finish) / 2
    to_arrive = tally.gap > 0 and tally.users or 0
    math.randomseed(now_us() % 2 ^ 31)
    -- Globals, which `done` can fetch from its own Lua state, as long as they are no tables of tables.
    file, tally_address, histogram_address = arguments[7], address_of(tally), address_of(histogram)
end

function request()
    if not verified then verified = true return text end  -- wrk looks at one request before it starts
    if to_arrive > 0 then arrive() end
    pass(now_us())
    tally.flying = tally.flying + 1
    if tally.open and not tally.closed then tally.issued = tally.issued + 1 end
    return text
end

local function count_right(at)
    local column = math.floor((at - tally.start) / tally.column)
    local half = at < tally.middle and 0 or 1
    tally.answered[column] = tally.answered[column] + 1
    tally.halves[half] = tally.halves[half] + 1
    note_silence(at)
end

function response(status, headers, body)
    local at = now_us()
    pass(at)
    tally.flying = tally.flying - 1
    histogram.limit = 0
    if not tally.open or tally.closed then return end
    if status ~= 200 then
        tally.statuses[status] = tally.statuses[status] + 1
    elseif right_body ~= "" and body ~= right_body then
        tally.wrong_bodies = tally.wrong_bodies + 1
    else
        histogram.limit = LIMIT
        count_right(at)
    end
end

-- From here on: the other Lua state, which wrk has for what comes before its threads and after them.

local worker, began_at

function setup(one)
    worker, began_at = one, now_us()
end

-- wrk adds latencies that it thinks a stalled server withheld (`stats_correct` in src/stats.c). Take them out again, from
-- the largest down: what was added to a value came from larger ones.
local function take_out_added(counts, largest, expected)
    for value = largest, 2 * expected, -1 do
        local count = counts[2 * value]
        if count > 0 then
            for added = value - expected, expected + 1, -expected do counts[2 * added] = counts[2 * added] - count end
        end
    end
end

-- Pairs of a latency in microseconds and how often it was seen. A count is below 2^32, the lower half of its word.
local function latencies_of(stats, summary)
    local counts, largest, seen = ffi.cast("uint32_t *", stats.data), tonumber(stats.max), {}
    local each = math.floor(summary.requests / tally.users)
    if each > 0 then take_out_added(counts, largest, math.floor(summary.duration / each)) end
    for value = 0, largest do
        if counts[2 * value] > 0 then seen[#seen + 1] = ("[%d,%d]"):format(value, counts[2 * value]) end
    end
    return seen
end

local function errors_of(broken)
    local classes = {
        ["wrong body"] = tally.wrong_bodies, ["connect error"] = broken.connect,
        ["read error"] = broken.read, ["write error"] = broken.write,
    }
    for status = 0, 999 do classes["status " .. status] = tally.statuses[status] end
    local seen = {}
    for class, count in pairs(classes) do
        if count > 0 then seen[#seen + 1] = ("%q:%d"):format(class, count) end
    end
    return seen
end

local function listed(numbers, count, how)
    local words = {}
    for index = 0, count - 1 do words[#words + 1] = how:format(numbers[index]) end
    return table.concat(words, ",")
end

function done(summary, latency, requests)
    tally = ffi.cast("lab_tally *", worker:get("tally_address"))
    thread, histogram = ffi.cast("lab_thread **", worker)[0], ffi.cast("lab_stats **", latency)[0]
    local is_known = address_of(histogram) == worker:get("histogram_address")
        and thread.errors.read == summary.errors.read and thread.errors.connect == summary.errors.connect
    if not tally.closed then
        tally.finish = math.min(tally.finish, math.max(tally.start + 1, tally.at, began_at + summary.duration))
        pass(tally.finish)
    end
    note_silence(tally.finish)
    local path = worker:get("file")
    local tally_file = io.open(path .. ".partial", "w")
    tally_file:write(
        ('{"is_known":%s,"start_us":%.3f,"end_us":%.3f,"waited_us":%.3f,'):format(
            is_known, tally.start, tally.finish, tally.waited),
        ('"carried_in":%d,"issued":%d,"in_flight":%d,'):format(tally.carried_in, tally.issued, tally.in_flight),
        ('"answered_halves":[%d,%d],'):format(tally.halves[0], tally.halves[1]),
        '"answered":[', listed(tally.answered, 256, "%d"), '],"errors":{', table.concat(errors_of(tally.broken), ","),
        '},"silences_us":[', listed(tally.silences, tally.silent, "%.3f"),
        '],"latencies":[', table.concat(latencies_of(histogram, summary), ","), "]}")
    tally_file:close()
    os.rename(path .. ".partial", path)
end
